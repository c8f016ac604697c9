"""A video is predicted on frame by frame, and its overlays are a video."""

import cv2
import numpy as np
import pytest
from full_disk import limit_files
from PIL import Image
from trained import small_task, write_checkpoint

from pspnet import Predictor
from pspnet.__main__ import main
from pspnet.data.video import Video, count_frames
from pspnet.errors import NotWritten
from pspnet.prediction.overlay_video import write_overlay_video


def test_frames_and_overlays_of_a_video(tmp_path, capsys):
    video = cv2.VideoWriter(
        str(tmp_path / "street.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48)
    )
    random = np.random.default_rng(0)
    for _ in range(3):
        video.write(random.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    video.release()
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", small_task())
    command = [
        *("predict", f"--ckpt_path={checkpoint}", f"--data.images={tmp_path / 'street.avi'}"),
        *("--data.workers=0", "--wandb=off", "--trainer.accelerator=cpu"),
        f"--output.folder={tmp_path / 'out'}",
    ]
    main(command)
    predictor = Predictor.load(checkpoint, precision="32-true")
    for frame in range(3):
        expected = predictor(Video(tmp_path / "street.avi").read(frame)).label
        read = np.array(Image.open(tmp_path / f"out/index/street/{frame:06}.png"))
        np.testing.assert_array_equal(read, expected)
    overlay = tmp_path / "out/overlay/street.mp4"
    assert count_frames(overlay) == 3
    assert Video(overlay).rate == 10
    frames = [Image.open(tmp_path / f"out/overlay/street/{frame:06}.jpg") for frame in range(3)]
    shown = Video(overlay).read(1).astype(int)
    distances = [np.abs(shown - np.asarray(frame)).mean() for frame in frames]
    assert min(distances) == distances[1] < 12
    (tmp_path / "out/index/street/000001.png").unlink()
    overlay.write_bytes(b"of other frames")
    main(command)
    assert "1 prediction written to" in capsys.readouterr().out.splitlines()[-1]
    assert count_frames(overlay) == 3


def test_a_full_disk_leaves_no_video(tmp_path):
    source = tmp_path / "a.avi"
    frames = [tmp_path / f"{number}.jpg" for number in range(9)]
    for number, frame in enumerate(frames):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)).save(
            frame
        )
    video = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    video.write(np.zeros((48, 64, 3), np.uint8))
    video.release()
    write_overlay_video(frames, source, tmp_path / "whole.mp4")
    size = (tmp_path / "whole.mp4").stat().st_size
    limit_files(size // 2)
    try:
        with pytest.raises(NotWritten, match=r"cut\.mp4 cannot be written"):
            write_overlay_video(frames, source, tmp_path / "cut.mp4")
    finally:
        limit_files(None)
    assert not [*tmp_path.glob("*cut*")]
