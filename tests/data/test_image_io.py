from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import put_image, put_text, write_tiff
from PIL import Image, TiffImagePlugin

from pspnet.data import image_io
from pspnet.errors import UserError

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (5, 7, 3)).astype(np.uint8)


def one_line(error: pytest.ExceptionInfo[Exception], path: Path) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_image_is_rgb_and_writable(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PIXELS).save(path)
    image = image_io.read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, PIXELS)
    image[0] = 0  # torch warns about arrays that cannot be written to


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    gray = np.where(PIXELS[:, :, :1] > 127, 255, 0).astype(np.uint8).repeat(3, axis=2)
    source = Image.fromarray(PIXELS if mode == "RGBA" else gray).convert(mode)
    source.save(path)
    np.testing.assert_array_equal(image_io.read_image(path), PIXELS if mode == "RGBA" else gray)


@pytest.mark.filterwarnings("error")
def test_palette_with_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2))
    image.putpalette([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0])
    image.save(tmp_path / "a.png", transparency=bytes([0, 100, 255, 0]))
    rgb = image_io.read_image(tmp_path / "a.png")
    assert rgb.tolist() == [[[9, 8, 7], [6, 5, 4]], [[3, 2, 1], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (6, lambda a: np.rot90(a, -1)),  # to be shown turned clockwise
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation(tmp_path: Path, orientation: int, turn) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(image_io.read_image(tmp_path / "a.png"), turn(PIXELS))


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_size_is_that_of_the_image_as_read(tmp_path: Path, orientation: int | None) -> None:
    path, exif = tmp_path / "a.jpg", Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(path, exif=exif)
    assert image_io.image_size(path) == image_io.read_image(path).shape[:2]


def test_size_without_the_pixels(tmp_path: Path) -> None:
    path = put_image(tmp_path / "a.png", size=(40, 60))
    path.write_bytes(path.read_bytes()[:60])
    assert image_io.image_size(path) == (40, 60)
    path.write_bytes(b"no image")
    with pytest.raises(UserError, match="not a known image format") as error:
        image_io.image_size(path)
    one_line(error, path)
    with pytest.raises(UserError, match=r"b\.png"):
        image_io.image_size(tmp_path / "b.png")


def test_deep_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((2, 2), 5000, np.uint16)).save(path)
    with pytest.raises(UserError, match="16 bits per channel, of which only 8") as error:
        image_io.read_image(path)
    one_line(error, path)


def test_deep_color_is_refused_and_not_cut(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2, 3), 5000, np.uint16))
    write_tiff(tmp_path / "a.tif", np.full((2, 2, 3), 5000, np.uint16))
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "b.tif")
    for name, bits in (("a.png", 16), ("a.tif", 16), ("b.tif", 32)):
        with pytest.raises(UserError, match=rf"{name} has {bits} bits per channel"):
            image_io.read_image(tmp_path / name)


@pytest.mark.parametrize(("bands", "words"), [(4, "has 4 ch"), (5, "has 5 ch"), (8, "more than 4")])
def test_further_bands_are_refused_and_not_dropped(tmp_path: Path, bands: int, words: str) -> None:
    write_tiff(tmp_path / "a.tif", np.zeros((2, 2, bands), np.uint8))
    with pytest.raises(UserError, match=words) as error:
        image_io.read_image(tmp_path / "a.tif")
    one_line(error, tmp_path / "a.tif")


def test_a_damaged_further_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("RGB", (4, 3)).save(path)
    content = bytearray(path.read_bytes())
    tags = int.from_bytes(content[4:8], "little")
    behind = tags + 2 + 12 * int.from_bytes(content[tags : tags + 2], "little")
    content[behind : behind + 4] = len(content).to_bytes(4, "little")  # the place of a next page
    path.write_bytes(content + b"\1\0" + bytes(16))
    with pytest.raises(UserError, match=r"a\.tif cannot be read as an image"):
        image_io.read_image(path)


def test_further_pages_are_refused_and_overviews_are_not(tmp_path: Path) -> None:
    path, first = tmp_path / "a.tif", Image.fromarray(PIXELS)
    small = TiffImagePlugin.ImageFileDirectory_v2()
    small[254] = 1  # a reduced copy of another page
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as file:
        first.save(file, "TIFF")
        file.newFrame()
        first.resize((3, 2)).save(file, "TIFF", tiffinfo=small)
    np.testing.assert_array_equal(image_io.read_image(path), PIXELS)
    first.save(path, save_all=True, append_images=[first, first])
    with pytest.raises(UserError, match="has 3 pages, of which only the first"):
        image_io.read_image(path)
    first.save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(255 - PIXELS)])
    with pytest.raises(UserError, match=r"a\.png has 2 pages"):
        image_io.read_image(tmp_path / "a.png")


# Pillow warns of a cut TIFF before it refuses it
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_cut_off_image_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GENERATOR.integers(0, 256, (40, 40, 3)).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    for length in (0, 1, 30, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="cannot be read as an image") as error:
            image_io.read_image(path)
        one_line(error, path)


def test_no_image_is_refused(tmp_path: Path) -> None:
    path = put_text(tmp_path / "a.jpg", "<html>404</html>")
    with pytest.raises(UserError, match="not a known image format"):
        image_io.read_image(path)
    with pytest.raises(UserError, match=r"b\.jpg"):
        image_io.read_image(tmp_path / "b.jpg")
