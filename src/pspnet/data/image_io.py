"""Images on disk: read exactly, or refused in one line that names the file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pspnet.data.channels import RGB, Channels
from pspnet.data.memory import available_memory
from pspnet.data.raster import SUFFIXES, Raster
from pspnet.errors import UserError

# raised by Pillow on bytes that are no image, or not all of one
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    struct.error,
    MemoryError,
)
Image.MAX_IMAGE_PIXELS = None  # the memory is the limit, see `check_memory`
BYTES_PER_PIXEL = 10  # of RGB decoded, with an alpha channel, and copied
SMALL = 2**25  # bytes; asking for the free memory would take a fifth of the time to decode so few
LARGEST_SIDE = 32_766  # pixels; OpenCV counts those of a resize in 16 bits
_PNG_DEPTH = 24  # offset of the bits per channel in a PNG file
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap rows and columns
# tags of TIFF, and bits of its subfile type
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 254, 258, 277
_REDUCED, _MASK = 1, 4
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how such files begin


def read_image(path: Path, channels: Channels = RGB) -> np.ndarray:
    """Read an image as RGB, (H, W, 3) uint8, upright according to its EXIF orientation.

    Gray and palette images are expanded to RGB; an alpha channel is dropped. Other channels are
    those of the file, (H, W, C), see `Channels.scaled`.

    Raises:
        UserError: if the file is missing, no image or cut off, or holds more than is read: more
            than 8 bits per channel, other channels, or further pages.
    """
    if not channels.is_rgb:
        return _read_channels(path, channels)
    content = read_bytes(path)
    image = decode(path, content, upright=True)
    check_depth(path, image, content)
    _check_bands_and_pages(path, image, content)
    return to_rgb(image)


def read_picture(path: Path, channels: Channels = RGB) -> np.ndarray:
    """Read an image and return what of its channels is shown, (H, W, 3) uint8."""
    return channels.picture(read_image(path, channels))


def _read_channels(path: Path, channels: Channels) -> np.ndarray:
    if path.suffix.lower() in SUFFIXES:  # of kinds that Pillow does not know
        with Raster(path, channels) as raster:
            height, width = raster.size
            check_memory(path, width, height, bytes_per_pixel=BYTES_PER_PIXEL * len(channels))
            return raster.read(slice(0, height), slice(0, width))
    content = read_bytes(path)
    image = decode(path, content, upright=True)
    pixels, alpha = values(image, content)
    if (pages := count_pages(path, image, content)) > 1:
        raise UserError(
            f"{path} has {pages} pages, of which only the first is read; save each as an image"
        )
    places = channels.places(pixels.shape[2], alpha=alpha, path=path)
    return channels.scaled(pixels[..., places], name=path)


def values(image: Image.Image, content: bytes | None = None) -> tuple[np.ndarray, bool]:
    """Return the stored values of an image, (H, W, bands), and whether the last band is alpha.

    Args:
        image: as Pillow decodes it; palettes are expanded.
        content: its file, as Pillow has 8 bits of a PNG of 16 in colors.
    """
    if image.mode in ("P", "PA", "1"):
        image = image.convert({"P": "RGB", "PA": "RGBA", "1": "L"}[image.mode])
    pixels = np.asarray(image)
    if pixels.ndim == 3 and content is not None and bits_per_channel(image, content) > 8:
        deep = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))
        pixels = deep[..., [2, 1, 0, 3][: deep.shape[2]]]  # of blue, green and red
    return pixels.reshape(*pixels.shape[:2], -1), image.mode[-1] == "A"


def to_rgb(image: Image.Image) -> np.ndarray:
    """Return an image of up to 8 bits per channel as RGB, (H, W, 3) uint8."""
    if image.mode == "P":  # Pillow warns when it drops a palette's alpha on the way to RGB
        image = image.convert("RGBA")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def check_depth(path: Path, image: Image.Image, content: bytes) -> None:
    """Refuse a file of more than 8 bits per channel, of which Pillow may keep the high byte.

    Raises:
        UserError: with the number of bits.
    """
    bits = bits_per_channel(image, content)
    if bits > 8 or image.mode[0] in "IF":
        bits = bits if bits > 8 else 32
        raise UserError(
            f"{path} has {bits} bits per channel, of which only 8 bits are read; save it as 8-bit"
            " RGB, scaled as all others"
        )


def bits_per_channel(image: Image.Image, content: bytes) -> int:
    """Return the depth in the file, of which Pillow's image may have less; 8 where none is told."""
    if image.format == "PNG":
        return content[_PNG_DEPTH]
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))  # type: ignore[attr-defined,no-any-return]
    return 8


def _check_bands_and_pages(path: Path, image: Image.Image, content: bytes) -> None:
    bands = len(image.getbands())
    if image.format == "TIFF":
        bands = image.tag_v2.get(_SAMPLES_PER_PIXEL, bands)  # type: ignore[attr-defined]
    if bands > len(image.getbands()) or image.mode == "RGBX":
        raise UserError(
            f"{path} has {bands} channels, of which only red, green and blue are read; save those"
            " three by themselves"
        )
    pages = count_pages(path, image, content)
    if pages > 1:
        raise UserError(
            f"{path} has {pages} pages, of which only the first is read; save each as an image"
        )


def count_pages(path: Path, image: Image.Image, content: bytes) -> int:
    """Count the images in a file, without the small copies and masks of a TIFF.

    Raises:
        UserError: if a further page is damaged.
    """
    if image.format == "MPO":  # a JPEG with a preview, or a second view of the same scene
        return 1
    try:
        frames = getattr(image, "n_frames", 1)
        if image.format != "TIFF" or frames == 1:
            return frames
        kinds = []
        with Image.open(io.BytesIO(content)) as pages:  # to seek would undo a turn of the image
            for frame in range(frames):
                pages.seek(frame)
                kinds.append(pages.tag_v2.get(_SUBFILE_TYPE, 0))  # type: ignore[attr-defined]
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    return sum(not kind & (_REDUCED | _MASK) for kind in kinds)


def image_size(path: Path) -> tuple[int, int]:
    """Read height and width of an image, as `read_image` turns it, from the file's header alone.

    The orientation of a JPEG counts; that of other formats may stand behind the pixels.

    Raises:
        UserError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            sideways = image.format == "JPEG" and image.getexif().get(_ORIENTATION, 1) > 4
            width, height = image.size
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    return (width, height) if sideways else (height, width)


def is_turned(path: Path) -> bool:
    """Return whether an image's EXIF orientation turns it on its side."""
    try:
        with Image.open(path) as image:
            return int(image.getexif().get(_ORIENTATION, 1)) > 4
    except UnidentifiedImageError:  # a TIFF of many channels
        return False


def encode(pixels: np.ndarray, format: str = "PNG", *, palette: np.ndarray | None = None) -> bytes:
    """Return the bytes of an image file.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        format: "PNG", or "JPEG" of full color resolution, which keeps borders of classes sharp.
        palette: RGB per value of (H, W), (256, 3) uint8.
    """
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    encoded = io.BytesIO()
    image.save(encoded, format, quality=92, subsampling=0)  # PNG ignores both options
    return encoded.getvalue()


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        UserError: if it is missing, no file, or not to be read.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a folder, pipe or device; give an image file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def decode(path: Path, content: bytes, *, upright: bool) -> Image.Image:
    """Decode the bytes of an image file, if `upright` turned by its EXIF orientation.

    Raises:
        UserError: if they are no image or cut off, or if there is no memory for it.
    """
    try:
        image = Image.open(io.BytesIO(content))
        check_memory(path, image.width, image.height)
        image.load()
        if upright:
            ImageOps.exif_transpose(image, in_place=True)
    except _UNREADABLE as error:
        if isinstance(error, UserError):
            raise
        if isinstance(error, UnidentifiedImageError) and content[:4] in _TIFF:
            raise UserError(
                f"{path} cannot be read as an image (a TIFF that is cut off or has more than 4"
                " channels); replace it, or save red, green and blue by themselves"
            ) from None
        raise _unreadable(path, error) from None
    return image


def check_memory(
    path: Path, width: int, height: int, *, bytes_per_pixel: int = BYTES_PER_PIXEL
) -> None:
    """Refuse an image that cannot be decoded in the memory that is left.

    Raises:
        UserError: with the image's size.
    """
    need = bytes_per_pixel * width * height
    if need > SMALL and need > available_memory():
        raise UserError(
            f"{path} is {width}×{height} pixels, for which {need / 2**30:.1f} GiB of memory are"
            " missing; cut it into tiles, or give more memory"
        )


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    if isinstance(error, UnidentifiedImageError):
        reason = "not a known image format"
    return UserError(
        f"{path} cannot be read as an image ({reason or type(error).__name__}); replace it"
    )
