"""Channels: files of any number of them, of 8 and 16 bits, through reading and augmentation."""

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TinySource

from pspnet.data.cache import Cache
from pspnet.data.channels import RGB, Channels
from pspnet.data.datamodule import SegmentationData
from pspnet.data.image_io import read_image
from pspnet.data.raster import is_raster
from pspnet.data.transforms.affine import View
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.normalize import normalize
from pspnet.data.transforms.seeding import seed_transform
from pspnet.errors import UserError

FOUR = ("red", "green", "blue", "nir")
VALUES = np.random.default_rng(0).integers(0, 2**16, (9, 12, 7), np.uint16)
BYTES = (VALUES >> 8).astype(np.uint8)


def write_tiff(path, bands, **options):
    rasterio = pytest.importorskip("rasterio")
    size = {"height": bands.shape[0], "width": bands.shape[1], "count": bands.shape[2]}
    with rasterio.open(path, "w", "GTiff", dtype=bands.dtype.name, **size, **options) as file:
        file.write(bands.transpose(2, 0, 1))
    return path


def write_png(path, pixels):
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.shape[2] > 1 else [0]
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(pixels[..., order]))[1].tobytes())
    return path


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_pngs_hold_gray_colors_and_a_fourth_channel(tmp_path, count, bits):
    pixels = (BYTES if bits == 8 else VALUES)[..., :count]
    channels = Channels(FOUR[:count], value_range=None if bits == 8 else (0, 65535))
    np.testing.assert_array_equal(
        read_image(write_png(tmp_path / "a.png", pixels), channels), pixels
    )


@pytest.mark.parametrize("count", [1, 4, 7])
def test_tiffs_hold_any_number_of_bands(tmp_path, count):
    channels = Channels(tuple("abcdefg"[:count]), value_range=(0, 65535))
    path = write_tiff(tmp_path / "a.tif", VALUES[..., :count])
    np.testing.assert_array_equal(read_image(path, channels), VALUES[..., :count])
    chosen = Channels(("one", "other"), bands=(count, 1), value_range=(0, 65535))
    np.testing.assert_array_equal(read_image(path, chosen), VALUES[..., [count - 1, 0]])


def test_a_range_is_scaled_and_clipped(tmp_path):
    stored = np.array([[[-5.0], [0.0], [2500.0], [10000.0], [70000.0], [np.nan]]], np.float32)
    channels = Channels(("height",), value_range=(0, 10000))
    found = read_image(write_tiff(tmp_path / "a.tif", stored), channels)
    assert found.dtype == np.uint16
    assert found.ravel().tolist() == [0, 0, round(0.25 * 65535), 65535, 65535, 0]


def test_a_tiff_of_many_bands_knows_its_place(tmp_path):
    from rasterio.transform import from_origin

    assert not is_raster(write_tiff(tmp_path / "a.tif", VALUES))
    place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    assert is_raster(write_tiff(tmp_path / "b.tif", VALUES, **place))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": FOUR}, r"has 3 bands, and data.channels asks for red, green, blue, nir"),
        (
            {"names": ("nir",), "bands": (4,)},
            r"3 bands, and data.channels asks for bands \[4\]",
        ),
        ({"names": ("a", "b", "c"), "bands": (1, 2, 3)}, "holds uint16; set data.channels.value_r"),
    ],
)
def test_files_that_lack_channels_are_refused(tmp_path, options, said):
    with pytest.raises(UserError, match=said):
        read_image(write_png(tmp_path / "a.png", VALUES[..., :3]), Channels(**options))


@pytest.mark.parametrize(
    "options",
    [
        {"names": ()},
        {"names": ("a", "a")},
        {"bands": (1, 2)},
        {"bands": (0, 1, 2)},
        {"value_range": (5, 5)},
        {"value_range": (0, float("inf"))},
        {"shown": ("red", "nir", "blue")},
        {"shown": ("red", "green")},
    ],
)
def test_channels_that_make_no_sense_are_refused(options):
    with pytest.raises(UserError, match=f"channels.{next(iter(options))}="):
        Channels(**options)


def test_pictures_show_three_channels_or_gray():
    assert RGB.picture(BYTES[..., :3]).tobytes() == BYTES[..., :3].tobytes()
    shown = Channels(FOUR, value_range=(0, 65535), shown=("nir", "red", "green"))
    np.testing.assert_array_equal(shown.picture(VALUES[..., :4]), VALUES[..., [3, 0, 1]] // 257)
    gray = Channels(("scan",)).picture(BYTES[..., :1])
    np.testing.assert_array_equal(gray, BYTES[..., [0, 0, 0]])


@pytest.mark.parametrize("pixels", [BYTES, VALUES, BYTES[..., :1]])
def test_all_channels_are_cut_alike(pixels):
    """Each channel of a rotated, blurred, flipped and padded crop is that of the channel alone."""
    mean = tuple(np.linspace(0.1, 0.9, pixels.shape[2]))
    augmentation = Augmentation(rotation_probability=1.0, blur=1.0, mirror=1.0, scale=(1.2, 1.2))
    mask = np.zeros(pixels.shape[:2], np.uint8)

    def crop(channel):
        transform = augmentation.build((13, 17), mean[channel])
        seed_transform(transform, seed=3)
        return transform(image=np.ascontiguousarray(pixels[..., channel]), mask=mask)["image"]

    found = crop(slice(0, pixels.shape[2]))
    assert found.shape == (13, 17, pixels.shape[2])
    assert found.dtype == pixels.dtype
    for channel in range(pixels.shape[2]):
        alone = crop(slice(channel, channel + 1))
        full = np.iinfo(pixels.dtype).max
        level = (
            0 if full == 255 else 1
        )  # OpenCV rounds floats, by other instructions for one channel
        np.testing.assert_allclose(found[..., channel], alone[..., 0], rtol=0, atol=level)
        assert abs(int(found[0, 0, channel]) - full * mean[channel]) <= 0.5 + full / 510


def test_a_plain_flip_keeps_the_axis_of_one_channel():
    view = View((9, 12), (9, 12), 0.0, True, (slice(1, 5), slice(2, 8)))
    cut = view.cut(BYTES[..., :1], interpolation=cv2.INTER_LINEAR, fill=(0,))
    np.testing.assert_array_equal(cut, BYTES[1:5, 9:3:-1, :1])


def test_full_intensity_is_that_of_the_type():
    mean, std = (0.1, 0.2), (0.3, 0.4)
    image = torch.from_numpy(BYTES[..., :2].transpose(2, 0, 1).copy())
    wide = torch.from_numpy(BYTES[..., :2].transpose(2, 0, 1).astype(np.uint16) * 257)
    torch.testing.assert_close(
        normalize(wide, mean=mean, std=std), normalize(image, mean=mean, std=std)
    )


def test_a_cache_knows_the_channels_of_its_copies(tmp_path):
    path = write_png(tmp_path / "a.png", BYTES[..., :3])
    assert Cache(tmp_path / "kept").image(path).shape == (9, 12, 3)
    deep = Channels(("one",), bands=(2,), value_range=(0, 255))
    for _ in range(2):
        kept = Cache(tmp_path / "kept", channels=deep).image(path)
        assert (kept.dtype, kept.shape) == (np.uint16, (9, 12, 1))
        np.testing.assert_array_equal(kept[..., 0], BYTES[..., 1] * np.uint16(257))


def test_other_channels_need_statistics_of_their_own(tmp_path):
    source = TinySource(str(tmp_path))
    with pytest.raises(UserError, match="pspnet check"):
        SegmentationData(source, channels=Channels(("gray",))).setup("fit")
    with pytest.raises(UserError, match=r"mean=\[0.5\]: give 3 values"):
        SegmentationData(source, mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize("option", [{"photometric": 0.5}, {"extra": "crop.yaml"}])
def test_changes_of_colors_are_refused(tmp_path, option):
    source = TinySource(str(tmp_path))
    source.prepare()
    data = SegmentationData(
        source,
        batch_size=2,
        augmentation=Augmentation(**option),
        channels=Channels(("gray",)),
        mean=(0.5,),
        std=(0.5,),
    )
    with pytest.raises(UserError, match=f"{next(iter(option))}: changes RGB of 8 bits alone"):
        data.setup("fit")


def test_gray_and_palettes_of_pillow_are_read_as_stored(tmp_path):
    gray = Image.fromarray(BYTES[..., 0])
    written = io.BytesIO()
    gray.save(written, "PNG")
    (tmp_path / "a.png").write_bytes(written.getvalue())
    found = read_image(tmp_path / "a.png", Channels(("scan",)))
    np.testing.assert_array_equal(found, BYTES[..., :1])


def test_tiffs_that_hold_no_intensities_are_refused(tmp_path):
    four_bits = write_tiff(tmp_path / "four.tif", BYTES[..., :1] // 16, nbits=4)
    with pytest.raises(UserError, match=r"four\.tif has 4 bits per channel"):
        read_image(four_bits, Channels(("scan",)))
    for mode in ("1", "P"):
        Image.fromarray(BYTES[..., :3]).convert(mode).save(tmp_path / "a.tif")
        with pytest.raises(UserError, match=r"a\.tif has a palette"):
            read_image(tmp_path / "a.tif", Channels(("scan",)))
