import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import put_image, put_label, put_text
from PIL import Image, PngImagePlugin

from pspnet.data import image_io
from pspnet.errors import UserError

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (5, 7, 3)).astype(np.uint8)


def accepting(*values: int) -> np.ndarray:
    table = np.full(256, -1, np.int16)
    table[list(values)] = values
    return table


def one_line(error: pytest.ExceptionInfo[Exception], path: Path) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


# images


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
    with pytest.raises(UserError, match="more than 8 bits") as error:
        image_io.read_image(path)
    one_line(error, path)


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


# labels


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_label_values_are_exact(tmp_path: Path, mode: str) -> None:
    values = np.arange(256).reshape(16, 16)
    if mode == "P":
        palette = GENERATOR.integers(0, 256, (256, 3)).astype(np.uint8)
        image_io.write_label(tmp_path / "a.png", values.astype(np.uint8), palette)
    else:
        deep = values.astype(np.uint16 if mode == "I;16" else np.uint8)
        Image.fromarray(deep).save(tmp_path / "a.png")
    table = GENERATOR.integers(0, 256, 256).astype(np.int16)
    label = image_io.read_label(tmp_path / "a.png", table)
    assert label.dtype == np.uint8
    expected = [[table[value] for value in row] for row in values]
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_label_of_few_bits_is_not_stretched(tmp_path: Path, depth: int) -> None:
    """Written by hand, so that no library scales the grays on the way into the file."""
    values = GENERATOR.integers(0, 2**depth, (6, 8))
    bits = ((values[:, :, None] >> np.arange(depth)[::-1]) & 1).reshape(6, -1)
    rows = np.packbits(bits.astype(np.uint8), axis=1)
    packed = b"".join(b"\0" + row.tobytes() for row in rows)
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        header = (8).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([depth, 0, 0, 0, 0])
        PngImagePlugin.putchunk(file, b"IHDR", header)
        PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(packed))
        PngImagePlugin.putchunk(file, b"IEND", b"")
    np.testing.assert_array_equal(image_io.read_label(path, accepting(*range(16))), values)


def test_palette_of_few_bits(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    image.putpalette(bytes(range(12)))
    image.save(tmp_path / "a.png", bits=2)
    assert image_io.read_label(tmp_path / "a.png", accepting(0, 1, 2, 3)).tolist() == [
        [0, 1],
        [2, 3],
    ]


@pytest.mark.parametrize(
    ("stored", "accepted", "words"),
    [
        ([0, 21, 254, 255], [*range(21), 255], "values 21 and 254, but 0 to 20 and 255 are"),
        ([0, 34, 35, 36, 255], range(34), "values 34 to 36 and 255, but 0 to 33 are"),
        ([7, 9], [1, 3, 5, 6], "values 7 and 9, but 1, 3 and 5 to 6 are"),
        ([2], [2 * k + 1 for k in range(10)], "values 2, but 1, 3, 5, 7, 9, 11, 13 and 3 more are"),
    ],
)
def test_refused_values_are_named(tmp_path: Path, stored, accepted, words: str) -> None:
    path = put_label(tmp_path / "a.png", stored)
    with pytest.raises(UserError, match=words) as error:
        image_io.read_label(path, accepting(*accepted))
    one_line(error, path)


def test_value_beyond_a_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 256], [1000, 3]], np.uint16)).save(path)
    with pytest.raises(UserError, match="values 256 and 1000, but 0 to 9 are"):
        image_io.read_label(path, accepting(*range(10)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_label_with_colors_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).convert(mode).save(path)
    with pytest.raises(UserError, match=f"mode {mode} .* replace each color") as error:
        image_io.read_label(path, accepting(*range(256)))
    one_line(error, path)


def test_inexact_label_is_refused(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    Image.fromarray(PIXELS[:, :, 0]).save(encoded, "JPEG")
    path = tmp_path / "renamed.png"
    path.write_bytes(encoded.getvalue())
    with pytest.raises(UserError, match="is a JPEG file; labels must be PNG"):
        image_io.read_label(path, accepting(*range(256)))


# writing


def test_written_label_has_indices_and_colors(tmp_path: Path) -> None:
    label = GENERATOR.integers(0, 256, (9, 5)).astype(np.uint8)
    palette = GENERATOR.integers(0, 256, (256, 3)).astype(np.uint8)
    image_io.write_label(tmp_path / "a.png", label, palette)
    seen = cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1]  # another reader shows the colors
    np.testing.assert_array_equal(seen, palette[label])
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.png")), label)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_label_without_a_palette_is_gray(tmp_path: Path) -> None:
    label = GENERATOR.integers(0, 256, (9, 5)).astype(np.uint8)
    image_io.write_label(tmp_path / "a.png", label, None)
    seen = Image.open(tmp_path / "a.png")
    assert seen.mode == "L"
    np.testing.assert_array_equal(np.array(seen), label)


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_interrupted_writing_leaves_the_old_file(tmp_path: Path, monkeypatch, step: str) -> None:
    path = put_text(tmp_path / "a.png", "old")

    def interrupted(self: Path, argument: object) -> None:
        with self.open("ab") as file:
            file.write(b"ne")
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        image_io.write_label(path, np.zeros((2, 3), np.uint8), None)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old\n"
