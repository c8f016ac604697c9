"""A video is predicted on frame by frame, and its overlays are a video."""

import cv2
import numpy as np
from PIL import Image
from trained import small_task, write_checkpoint

from pspnet import Predictor
from pspnet.__main__ import main
from pspnet.data.video import Video, count_frames


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
    main(command)
    assert "1 predictions written to" in capsys.readouterr().out.splitlines()[-1]
