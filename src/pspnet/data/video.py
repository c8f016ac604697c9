"""Videos, decoded frame by frame by OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pspnet.errors import UserError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")


class Video:
    """A video that is read forward; an earlier frame opens it again.

    Args:
        path: the file.

    Raises:
        UserError: if it cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        self._capture = cv2.VideoCapture(str(self.path))
        self._next = 0
        if not self._capture.isOpened():
            raise UserError(
                f"{self.path} cannot be decoded as a video; convert it, for example to H.264 by"
                " ffmpeg -i VIDEO VIDEO.mp4"
            )

    @property
    def rate(self) -> float:
        """Frames per second; 25 where the file does not say."""
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        return rate if 0 < rate < 1000 else 25.0

    def skip(self) -> bool:
        """Pass over a frame, and return whether there was one."""
        self._next += 1
        return bool(self._capture.grab())

    def read(self, frame: int) -> np.ndarray:
        """Return a frame as RGB, (H, W, 3) uint8, upright as its file says.

        Raises:
            UserError: if it cannot be decoded.
        """
        if frame < self._next:
            self._open()
        while self._next <= frame:
            if not self.skip():
                raise UserError(f"{self.path}: frame {frame} cannot be decoded; convert the video")
        decoded, pixels = self._capture.retrieve()
        if not decoded:
            raise UserError(f"{self.path}: frame {frame} cannot be decoded; convert the video")
        image: np.ndarray = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        return image


def count_frames(path: Path) -> int:
    """Count the frames of a video by decoding it, as what files say of it is often wrong.

    Raises:
        UserError: if it cannot be decoded, or holds no frame.
    """
    video, count = Video(path), 0
    while video.skip():
        count += 1
    if not count:
        raise UserError(f"{path} holds no frame that can be decoded; convert it")
    return count
