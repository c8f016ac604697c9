"""Rasters are predicted on as images are, and keep their place on the ground."""

import json

import numpy as np
import pytest
from full_disk import limit_files
from PIL import Image
from trained import CLASSES, MEAN, STD, small_task, write_checkpoint

from pspnet import Predictor
from pspnet.__main__ import main
from pspnet.data.raster import Raster, is_raster
from pspnet.errors import NotWritten, UserError
from pspnet.prediction.folder import origin_of
from pspnet.prediction.raster_files import RasterBlock, RasterFiles
from pspnet.prediction.raster_polygons import write_polygons

rasterio = pytest.importorskip("rasterio")
from rasterio.control import GroundControlPoint  # noqa: E402
from rasterio.features import rasterize  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402
from rasterio.warp import transform_geom  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8).repeat(16, 0).repeat(16, 1)
PLACE = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_000_000, 0.5, 0.5)}
FORMS = ("index", "color", "overlay", "confidence")


def write(path, bands, **options):
    """Write bands (H, W, B) as a TIFF."""
    count, kind = bands.shape[2], bands.dtype.name
    profile = {"driver": "GTiff", "count": count, "dtype": kind, "photometric": "rgb", **options}
    with rasterio.open(path, "w", height=len(bands), width=bands.shape[1], **profile) as file:
        file.write(bands.transpose(2, 0, 1))
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("run") / "last.ckpt", small_task())


@pytest.mark.parametrize("protocol", [pytest.param("whole", marks=pytest.mark.slow), "paper-ss"])
def test_command_writes_rasters_that_lie_where_their_images_do(
    checkpoint, tmp_path, protocol, capsys
):
    write(tmp_path / "map.tif", PIXELS, **PLACE)
    command = [
        *("predict", f"--ckpt_path={checkpoint}", f"--data.images={tmp_path / 'map.tif'}"),
        *("--data.workers=0", "--wandb=off", "--trainer.accelerator=cpu"),
        *(f"--output.folder={tmp_path / 'out'}", f"--output.forms={[*FORMS]}"),
        f"--model.protocol={protocol}",
    ]
    main(command)
    task = small_task(protocol=protocol)
    expected = Predictor(task, mean=MEAN, std=STD, device="cpu", precision="32-true")(PIXELS)
    for form in FORMS:
        path = tmp_path / f"out/{form}/map.tif"
        with rasterio.open(path) as file:
            assert (file.crs, file.transform) == (PLACE["crs"], PLACE["transform"])
            bands = file.read()
        assert origin_of(path) is not None
        if form == "index":
            np.testing.assert_array_equal(bands[0], expected.label)
        elif form == "confidence":
            np.testing.assert_allclose(bands[0] / 65535, expected.confidence, atol=2e-5)
        else:
            exact = expected.colors() if form == "color" else np.asarray(expected.overlay())
            assert np.abs(bands.transpose(1, 2, 0).astype(int) - exact).mean() < 8  # JPEG
    before = [(tmp_path / f"out/{form}/map.tif").stat().st_mtime_ns for form in FORMS]
    main(command)
    assert "0 predictions written" in capsys.readouterr().out
    assert before == [(tmp_path / f"out/{form}/map.tif").stat().st_mtime_ns for form in FORMS]


def test_polygons_lie_where_their_regions_do(checkpoint, tmp_path):
    write(tmp_path / "map.tif", PIXELS, **PLACE)
    main(
        [
            *("predict", f"--ckpt_path={checkpoint}", f"--data.images={tmp_path / 'map.tif'}"),
            *("--data.workers=0", "--wandb=off", f"--output.folder={tmp_path / 'out'}"),
            *("--output.forms=[index,geojson]", "--output.tolerance=0"),
        ]
    )
    content = json.loads((tmp_path / "out/geojson/map.geojson").read_text())
    shapes = [(each["geometry"], each["properties"]["class_id"]) for each in content["features"]]
    with rasterio.open(tmp_path / "out/index/map.tif") as file:
        index = file.read(1)
        drawn = rasterize(
            [(transform_geom("EPSG:4326", file.crs, shape), value) for shape, value in shapes],
            index.shape,
            transform=file.transform,
            fill=255,
            dtype="uint8",
        )
    np.testing.assert_array_equal(drawn, index)
    assert all(
        8 < longitude < 10 and 44 < latitude < 46
        for shape, _ in shapes
        for longitude, latitude in shape["coordinates"][0]
    )
    assert origin_of(tmp_path / "out/geojson/map.geojson") is not None


def test_pixels_without_data_have_no_class(checkpoint, tmp_path):
    alpha = np.full((*PIXELS.shape[:2], 1), 255, np.uint8)
    alpha[:40] = 0
    write(
        tmp_path / "map.tif", np.concatenate([PIXELS, alpha], 2), alpha="non-premultiplied", **PLACE
    )
    main(
        [
            *("predict", f"--ckpt_path={checkpoint}", f"--data.images={tmp_path / 'map.tif'}"),
            *("--data.workers=0", "--wandb=off", f"--output.folder={tmp_path / 'out'}"),
        ]
    )
    with rasterio.open(tmp_path / "out/index/map.tif") as file:
        index = file.read(1)
        assert file.nodata == 255
    assert (index[:40] == 255).all()
    assert (index[40:] < len(CLASSES)).all()


def test_files_that_are_no_raster_are_read_at_once(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "plain.tif")
    write(tmp_path / "map.tif", PIXELS, **PLACE)
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    assert [is_raster(tmp_path / f"{name}.tif") for name in ("plain", "map", "broken")] == [
        *(False, True, False)
    ]


@pytest.mark.parametrize(("bands", "kind"), [(2, np.uint8), (5, np.uint8), (3, np.uint16)])
def test_other_bands_are_refused_by_name(tmp_path, bands, kind):
    path = write(tmp_path / "map.tif", np.zeros((8, 8, bands), kind), photometric="minisblack")
    with pytest.raises(UserError, match=f"map.tif has {bands} bands of {kind.__name__}"):
        Raster(path)


def test_forms_that_are_no_raster_are_refused_before_anything_is_computed(
    checkpoint, tmp_path, capsys
):
    write(tmp_path / "map.tif", PIXELS, **PLACE)
    command = ["predict", f"--ckpt_path={checkpoint}", f"--data.images={tmp_path / 'map.tif'}"]
    with pytest.raises(SystemExit):
        main([*command, f"--output.folder={tmp_path / 'out'}", "--output.forms=[coco]"])
    assert "map.tif is read by windows" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_when_the_file_is_closed_leaves_no_file(tmp_path):
    """GDAL writes the end of a file, and all of a small one, as it closes it."""
    path, size = tmp_path / "out.tif", {}
    everything = (slice(0, 144), slice(0, 192))
    label = np.random.default_rng(0).integers(0, 3, (144, 192), np.uint8)
    block = RasterBlock(*everything, label, label.astype(np.float32))

    def predict():
        with (
            Raster(write(tmp_path / "map.tif", PIXELS, **PLACE)) as raster,
            RasterFiles(raster, {"index": path}, palette=CLASSES.palette()) as files,
        ):
            files.write(block)
            limit_files(size.get("most"))

    predict()
    size["most"] = path.stat().st_size - 100
    path.unlink()
    try:
        with pytest.raises(NotWritten, match=r"out\.tif cannot be written; make room"):
            predict()
    finally:
        limit_files(None)
    assert [*tmp_path.iterdir()] == [tmp_path / "map.tif"]


def test_ground_control_points_are_kept(tmp_path):
    points = [GroundControlPoint(row, 0, 8, 50 - row) for row in (0, 70)]
    write(tmp_path / "map.tif", PIXELS, gcps=points, crs="EPSG:4326")
    with Raster(tmp_path / "map.tif") as raster:
        raster.create(tmp_path / "out.tif", bands=1, kind="uint8").close()
    with rasterio.open(tmp_path / "out.tif") as file:
        (found, system) = file.gcps
    assert [(point.row, point.y) for point in found] == [(0, 50), (70, -20)]
    assert system.to_epsg() == 4326


@pytest.mark.parametrize("down", [-0.5, 0.5])
def test_polygons_run_counterclockwise(tmp_path, down):
    place = rasterio.Affine(0.5, 0, 500_000, 0, down, 5_000_000)
    index = write(tmp_path / "a.tif", PIXELS[..., :1] % 3, crs="EPSG:32632", transform=place)
    write_polygons(index, tmp_path / "a.json", CLASSES, tolerance=0, origin=None)
    content = json.loads((tmp_path / "a.json").read_text())
    x, y = np.array(content["features"][0]["geometry"]["coordinates"][0]).T
    x, y = x - x.mean(), y - y.mean()
    assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0


def test_coordinates_without_longitude_are_refused(tmp_path):
    system = 'LOCAL_CS["site",UNIT["metre",1]]'
    index = write(tmp_path / "a.tif", PIXELS[..., :1] % 3, crs=system, transform=PLACE["transform"])
    with pytest.raises(UserError, match="no longitude and latitude; leave geojson out"):
        write_polygons(index, tmp_path / "a.json", CLASSES, tolerance=0, origin=None)
    assert [*tmp_path.iterdir()] == [index]
