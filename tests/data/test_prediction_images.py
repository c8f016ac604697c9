"""Lists and videos to predict on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pspnet.data.dataset import ImageDataset
from pspnet.data.prediction_images import Frame, find_images
from pspnet.errors import UserError

GRAYS = (30, 90, 150, 210)


def write_video(path: Path) -> Path:
    """Write four gray frames of 48 × 64 pixels."""
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for gray in GRAYS:
        writer.write(np.full((48, 64, 3), (gray, gray, 255 - gray), np.uint8))
    writer.release()
    return path


def test_frames_of_a_video_in_any_order(tmp_path):
    samples = find_images(write_video(tmp_path / "street.avi"))
    assert [sample.name for sample in samples] == [f"street/{index:06}" for index in range(4)]
    dataset = ImageDataset(samples)
    for index in (2, 3, 0, 1, 1):
        item = dataset[index]
        mean = item["image"].float().mean((1, 2)).numpy()
        gray = GRAYS[index]
        np.testing.assert_allclose(mean, (255 - gray, gray, gray), atol=6)  # RGB
        assert item["unreadable"] == ""
        assert item["size"] == (48, 64)
    beyond = ImageDataset([Frame("a", samples[0].image, None, 9)])[0]
    assert "frame 9 cannot be decoded" in beyond["unreadable"]


def test_folders_and_lists_hold_images_and_videos(tmp_path):
    write_video(tmp_path / "all/street.avi")
    Image.new("RGB", (9, 9)).save(tmp_path / "all/a.png")
    assert [sample.name for sample in find_images(tmp_path / "all")][:2] == ["a", "street/000000"]
    (tmp_path / "some.txt").write_text(f"all/a.png\n{tmp_path}/all/street.avi\n")
    names = [sample.name for sample in find_images(tmp_path / "some.txt")]
    assert names[:2] == ["all/a", "street/000000"]


def test_wrong_lines_are_named_at_once(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\nb.png\nlist.txt\na.png\n")
    with pytest.raises(UserError, match=r"3 |'b\.png'") as error:
        find_images(tmp_path / "list.txt")
    lines = "\n".join(error.value.lines)
    assert all(word in lines for word in ("'b.png'", "'list.txt'", "twice"))


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"a\.mp4 cannot be decoded as a video"):
        find_images(tmp_path / "a.mp4")
