"""The overlays of a video's frames as a video."""

from __future__ import annotations

from pathlib import Path

import cv2

from pspnet.data.image_io import image_size, read_image
from pspnet.data.video import Video, count_frames
from pspnet.errors import NotWritten, UserError
from pspnet.files.writing import atomic


def write_overlay_video(frames: list[Path], video: Path, out: Path) -> None:
    """Write overlays as a video (MPEG-4) of the same rate, over an older one.

    Args:
        frames: the overlays in their order, of one size.
        video: the file that they are of.
        out: the file to write, .mp4.

    Raises:
        NotWritten: if it cannot be written.
    """
    height, width = image_size(frames[0])
    with atomic(out, durable=False) as draft:
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(draft), code, Video(video).rate, (width, height))
        if not writer.isOpened():
            raise NotWritten(f"{out} cannot be written; free disk space, or name another folder")
        for frame in frames:
            writer.write(cv2.cvtColor(read_image(frame), cv2.COLOR_RGB2BGR))
        writer.release()
        if _count(draft) != len(frames):  # OpenCV says nothing of a full disk
            raise NotWritten(f"{out} cannot be written; free disk space, or name another folder")


def _count(video: Path) -> int:
    try:
        return count_frames(video)
    except UserError:
        return 0
