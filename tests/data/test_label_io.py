"""Label files: values, palettes and colors as train ids, or refused."""

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import put_label, put_text
from PIL import Image, PngImagePlugin

from pspnet.data import label_io
from pspnet.data.label_io import LabelCode, read_label
from pspnet.errors import UserError

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (5, 7, 3)).astype(np.uint8)
COLORS = {(0, 0, 0): 0, (200, 10, 30): 1, (128, 128, 128): 2, (224, 224, 192): 255}


def accepting(*values: int, **options) -> LabelCode:
    table = np.full(256, -1, np.int16)
    table[list(values)] = values
    return LabelCode(table, **options)


def one_line(error: pytest.ExceptionInfo[Exception], path: Path) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_label_values_are_exact(tmp_path: Path, mode: str) -> None:
    values = np.arange(256).reshape(16, 16)
    if mode == "P":
        palette = GENERATOR.integers(0, 256, (256, 3)).astype(np.uint8)
        label_io.write_label(tmp_path / "a.png", values.astype(np.uint8), palette)
    else:
        deep = values.astype(np.uint16 if mode == "I;16" else np.uint8)
        Image.fromarray(deep).save(tmp_path / "a.png")
    table = GENERATOR.integers(0, 256, 256).astype(np.int16)
    label = read_label(tmp_path / "a.png", LabelCode(table))
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
    np.testing.assert_array_equal(read_label(path, accepting(*range(16))), values)


def test_palette_of_few_bits(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    image.putpalette(bytes(range(12)))
    image.save(tmp_path / "a.png", bits=2)
    assert read_label(tmp_path / "a.png", accepting(0, 1, 2, 3)).tolist() == [
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
        read_label(path, accepting(*accepted))
    one_line(error, path)


def test_value_beyond_a_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 256], [1000, 3]], np.uint16)).save(path)
    with pytest.raises(UserError, match="values 256 and 1000, but 0 to 9 are"):
        read_label(path, accepting(*range(10)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colors_without_a_meaning_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).convert(mode).save(path)
    with pytest.raises(UserError, match=f"mode {mode} .* replace each color") as error:
        read_label(path, accepting(*range(256)))
    one_line(error, path)


LABEL = np.resize(np.array([0, 1, 2, 255], np.uint8), (5, 7))
PALETTE = np.zeros((256, 3), np.uint8)
for _color, _index in COLORS.items():
    PALETTE[_index] = _color


def colored() -> Image.Image:
    return Image.fromarray(PALETTE[LABEL])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".gif"])
def test_colors_are_read_from_every_exact_format(tmp_path: Path, suffix: str) -> None:
    colored().save(tmp_path / f"a{suffix}")
    label = read_label(tmp_path / f"a{suffix}", accepting(0, 1, 2, 255, colors=COLORS))
    np.testing.assert_array_equal(label, LABEL)


def test_a_reordered_palette_is_read_by_its_colors(tmp_path: Path) -> None:
    """As tools that shrink PNGs write it: the commonest color first, no unused ones."""
    path, code = tmp_path / "a.png", accepting(0, 1, 2, 255, colors=COLORS)
    colored().quantize(4).save(path)
    assert not np.array_equal(np.array(Image.open(path)), LABEL)
    np.testing.assert_array_equal(read_label(path, code), LABEL)
    label_io.write_label(path, LABEL, PALETTE)
    np.testing.assert_array_equal(read_label(path, code), LABEL)


def test_a_palette_of_other_colors_is_refused_where_it_is_used(tmp_path: Path) -> None:
    path, code = tmp_path / "a.png", accepting(0, 1, 2, 255, colors=COLORS)
    other = PALETTE.copy()
    other[7] = 9, 9, 200
    label_io.write_label(path, LABEL, other)
    np.testing.assert_array_equal(read_label(path, code), LABEL)
    other[1] = 9, 9, 9
    label_io.write_label(path, LABEL, other)
    with pytest.raises(
        UserError, match=r"holds the colors \(9, 9, 9\), which are those of no class"
    ):
        read_label(path, code)


def test_a_gray_palette_holds_values(tmp_path: Path) -> None:
    """Tools that shrink PNGs turn gray ones into palettes of the grays that occur."""
    path = tmp_path / "a.png"
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([255] * 3 + [7] * 3 + [0] * 3)
    image.save(path)
    for colors in (None, {(1, 2, 3): 0}):
        label = read_label(path, accepting(0, 7, 255, colors=colors))
        assert label.tolist() == [[255, 7], [0, 7]]


def test_gray_pixels_in_rgb_are_values(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(LABEL).convert("RGB").save(path)
    np.testing.assert_array_equal(read_label(path, accepting(0, 1, 2, 255)), LABEL)
    # where grays are known colors, they are these: 128 is class 2 here
    Image.fromarray(np.full((2, 2, 3), 128, np.uint8)).save(path)
    assert (read_label(path, accepting(0, 1, 128, colors=COLORS)) == 2).all()


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_black_and_white_with_a_wrong_gray_are_no_values(tmp_path: Path, mode: str) -> None:
    """Read as values, white would be 255 and ignored, without a word."""
    colors = {(0, 0, 0): 0, (255, 255, 255): 1}
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([0] * 3 + [1] * 3 + [255] * 3)
    image.convert(mode).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"holds the colors \(1, 1, 1\), which"):
        read_label(tmp_path / "a.png", accepting(0, 1, 255, colors=colors))


def test_colors_of_soft_edges_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = colored()
    image.putpixel((0, 0), (1, 0, 0))
    image.putpixel((1, 0), (100, 5, 15))
    image.save(path)
    with pytest.raises(UserError, match=r"colors \(1, 0, 0\), \(100, 5, 15\), which") as error:
        read_label(path, accepting(0, 1, 2, 255, colors=COLORS))
    one_line(error, path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
def test_transparent_pixels_are_ignored_or_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    if mode == "P":
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
        image.putpalette([0, 0, 0, 1, 1, 1, 2, 2, 2])
        image.save(path, transparency=2)
    elif mode in ("L", "RGB"):  # one gray or color stands for transparency
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert(mode)
        image.save(path, transparency=2 if mode == "L" else (2, 2, 2))
    else:
        pixels = Image.fromarray(np.array([[0, 1, 0]], np.uint8)).convert(mode)
        pixels.putalpha(Image.fromarray(np.array([[255, 255, 0]], np.uint8)))
        pixels.save(path)
    label = read_label(path, accepting(0, 1, 2, transparent=True))
    assert label.tolist() == [[0, 1, 255]]
    with pytest.raises(UserError, match="transparent in 33% of its pixels; ignore them"):
        read_label(path, accepting(0, 1, 2))


@pytest.mark.parametrize("colors", [COLORS, None])
def test_the_color_of_a_transparent_pixel_means_nothing(tmp_path: Path, colors) -> None:
    pixels = np.array([[[0, 0, 0, 255], [9, 9, 200, 0]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    code = accepting(0, colors=colors, transparent=True)
    assert read_label(tmp_path / "a.png", code).tolist() == [[0, 255]]
    Image.fromarray(pixels[:, 1:]).save(tmp_path / "a.png")
    assert read_label(tmp_path / "a.png", code).tolist() == [[255]]


def test_soft_edges_of_transparency_are_refused(tmp_path: Path) -> None:
    pixels = Image.fromarray(np.zeros((1, 3), np.uint8)).convert("RGBA")
    pixels.putalpha(Image.fromarray(np.array([[255, 99, 0]], np.uint8)))
    pixels.save(tmp_path / "a.png")
    with pytest.raises(UserError, match="transparent in part"):
        read_label(tmp_path / "a.png", accepting(0, transparent=True))


def test_a_label_is_turned_by_its_own_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(LABEL).save(tmp_path / "a.png", exif=exif)
    label = read_label(tmp_path / "a.png", accepting(0, 1, 2, 255))
    np.testing.assert_array_equal(label, np.rot90(LABEL, -1))


def test_no_data_of_a_geotiff_is_ignored_unless_it_is_a_class(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.array([[0, 1, 99]], np.uint8)).save(path, tiffinfo={42113: "99"})
    assert read_label(path, accepting(0, 1)).tolist() == [[0, 1, 255]]
    Image.fromarray(np.array([[0, 1, 60000]], np.uint16)).save(path, tiffinfo={42113: "60000"})
    assert read_label(path, accepting(0, 1)).tolist() == [[0, 1, 255]]
    for text in ("nan", "-9999", "0.5", "1e99"):  # no pixel can hold it
        Image.fromarray(np.array([[0, 1, 1]], np.uint8)).save(path, tiffinfo={42113: text})
        assert read_label(path, accepting(0, 1)).tolist() == [[0, 1, 1]]
    Image.fromarray(np.array([[0, 1, -9999]], np.int32)).save(path, tiffinfo={42113: "-9999"})
    assert read_label(path, accepting(0, 1)).tolist() == [[0, 1, 255]]
    image = Image.fromarray(np.array([[0, 1, 9]], np.uint8))
    image.putpalette([10, 0, 0, 200, 10, 30])
    image.save(path, tiffinfo={42113: "9"})
    assert read_label(path, accepting(0, 1)).tolist() == [[0, 1, 255]]
    Image.fromarray(np.array([[0, 1, 1]], np.uint8)).save(path, tiffinfo={42113: "0"})
    with pytest.raises(UserError, match="declares the value 0 to be no data, but it is a class"):
        read_label(path, accepting(0, 1))


@pytest.mark.parametrize("value", [-1, -9999])
def test_negative_values_are_refused(tmp_path: Path, value: int) -> None:
    Image.fromarray(np.array([[0, value]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=f"holds the label values {value}, but"):
        read_label(tmp_path / "a.tif", accepting(0, 255))


@pytest.mark.parametrize("channels", [3, 4])
def test_colors_of_16_bits_are_refused(tmp_path: Path, channels: int) -> None:
    """Pillow keeps the high byte, so that 1 and 2 would be read as 0."""
    pixels = np.full((2, 3, channels), 65535, np.uint16)
    pixels[..., :3] = 1
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    for colors in (None, COLORS):
        with pytest.raises(UserError, match="16 bits per channel"):
            read_label(tmp_path / "a.png", accepting(0, 1, colors=colors))


def test_indices_behind_the_end_of_a_palette_have_no_color(tmp_path: Path) -> None:
    path, palette = tmp_path / "a.png", [*(0, 0, 0), *(200, 10, 30), *[9] * 54]
    code = accepting(0, 1, 2, 255, colors=COLORS)
    for last in (255, 30):
        image = Image.fromarray(np.array([[0, 1, last]], np.uint8))
        image.putpalette(palette)
        image.save(path)
        if last == 255:
            assert read_label(path, code).tolist() == [[0, 1, 255]]
    with pytest.raises(UserError, match="index 30, but its palette has 20 colors") as error:
        read_label(path, code)
    one_line(error, path)
    image = Image.fromarray(np.array([[0, 1, 255]], np.uint8))
    image.putpalette([value for value in range(20) for _ in range(3)])
    image.save(path)
    assert read_label(path, accepting(0, 1, 255)).tolist() == [[0, 1, 255]]


def test_tiffs_that_change_values_or_hide_pages_are_refused(tmp_path: Path) -> None:
    gray = Image.fromarray(LABEL)
    inverted = {262: 0}
    for name, words, options in (
        ("a.tif", "JPEG compression", {"compression": "jpeg"}),
        ("b.tif", "from white", {"tiffinfo": inverted}),
        ("c.tif", "has 2 pages", {"save_all": True, "append_images": [gray]}),
    ):
        gray.save(tmp_path / name, **options)
        with pytest.raises(UserError, match=words):
            read_label(tmp_path / name, accepting(0, 1, 2, 255))


def test_values_above_a_byte_have_their_meaning(tmp_path: Path) -> None:
    table = np.full(1001, -1, np.int16)
    table[[0, 1000]] = 1, 0
    Image.fromarray(np.array([[0, 1000]], np.uint16)).save(tmp_path / "a.png")
    assert read_label(tmp_path / "a.png", LabelCode(table)).tolist() == [[1, 0]]


def test_codes_that_differ_have_keys_that_differ() -> None:
    codes = [
        accepting(0, 1),
        accepting(0, 2),
        accepting(0, 1, colors=COLORS),
        accepting(0, 1, colors={**COLORS, (1, 2, 3): 0}),
        accepting(0, 1, transparent=True),
    ]
    assert len({code.key for code in codes}) == len(codes)
    assert accepting(0, 1).key == codes[0].key


def test_inexact_label_is_refused(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    Image.fromarray(PIXELS[:, :, 0]).save(encoded, "JPEG")
    path = tmp_path / "renamed.png"
    path.write_bytes(encoded.getvalue())
    with pytest.raises(UserError, match="is a JPEG file; labels must be PNG"):
        read_label(path, accepting(*range(256)))


# writing


def test_written_label_has_indices_and_colors(tmp_path: Path) -> None:
    label = GENERATOR.integers(0, 256, (9, 5)).astype(np.uint8)
    palette = GENERATOR.integers(0, 256, (256, 3)).astype(np.uint8)
    label_io.write_label(tmp_path / "a.png", label, palette)
    seen = cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1]  # another reader shows the colors
    np.testing.assert_array_equal(seen, palette[label])
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.png")), label)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_label_without_a_palette_is_gray(tmp_path: Path) -> None:
    label = GENERATOR.integers(0, 256, (9, 5)).astype(np.uint8)
    label_io.write_label(tmp_path / "a.png", label, None)
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
        label_io.write_label(path, np.zeros((2, 3), np.uint8), None)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old\n"
