"""Four channels, predicted on in files, arrays and rasters, and kept in the folder of the Hub."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from trained import CLASSES

from pspnet import Predictor, PSPNet
from pspnet.__main__ import main
from pspnet.data.channels import Channels
from pspnet.errors import UserError
from pspnet.task import Segmentation
from pspnet.tools.explain.__main__ import main as explain
from pspnet.tools.export.write import export

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import from_origin  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
NAMES = ("red", "green", "blue", "nir")
CHANNELS = Channels(NAMES, value_range=(0, 10000), shown=("nir", "red", "green"))
MEAN, STD = (0.2, 0.2, 0.2, 0.4), (0.12, 0.12, 0.12, 0.23)
PIXELS = np.random.default_rng(0).integers(0, 9000, (40, 56, 4), np.uint16)


def write(path, pixels, **options):
    height, width, count = pixels.shape
    profile = {"driver": "GTiff", "count": count, "dtype": pixels.dtype.name, **options}
    with rasterio.open(path, "w", height=height, width=width, **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    network = PSPNet(3, "tu-test_resnet", decoder_channels=8, auxiliary=False, in_channels=4)
    torch.nn.init.normal_(network.decoder[-1].weight, std=1.0)
    task = Segmentation(network, CLASSES, crop_size=(33, 33)).eval()
    options = {"device": "cpu", "precision": "32-true"}
    return Predictor(task, mean=MEAN, std=STD, channels=CHANNELS, **options)


def test_files_arrays_and_tensors_are_one_image(predictor, tmp_path):
    expected = predictor(PIXELS)
    path = write(tmp_path / "a.tif", PIXELS)
    for image in (path, PIXELS.astype(np.float64), torch.from_numpy(PIXELS).permute(2, 0, 1)):
        np.testing.assert_array_equal(predictor(image).label, expected.label)
    shown = (np.rint(PIXELS[..., [3, 0, 1]] / 10000 * 65535) // 257).astype(np.uint8)
    np.testing.assert_array_equal(expected.image, shown)


@pytest.mark.parametrize(
    "image", [PIXELS[..., :3], PIXELS[..., 0], Image.new("RGB", (40, 40)), "no image at all"]
)
def test_other_channels_are_refused(predictor, image):
    with pytest.raises(UserError):
        predictor(image)


def test_the_folder_of_the_hub_keeps_the_channels(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "saved")
    loaded = Predictor.load(tmp_path / "saved", device="cpu", precision="32-true")
    assert loaded.channels == CHANNELS
    np.testing.assert_array_equal(loaded(PIXELS).label, predictor(PIXELS).label)
    assert "Images are red, green, blue, nir" in (tmp_path / "saved/README.md").read_text()
    config = json.loads((tmp_path / "saved/config.json").read_text())
    config["config"]["data"]["channels"] = {"names": ["a", "b"]}
    (tmp_path / "saved/config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="names 2 channels, and its network takes 4"):
        Predictor.load(tmp_path / "saved")


def test_the_command_predicts_on_files_and_rasters(predictor, tmp_path):
    checkpoint = {"pytorch-lightning_version": "2.6.0", "epoch": 0, "global_step": 0}
    task = predictor.trained.task
    task.on_save_checkpoint(checkpoint)
    channels = {"names": [*NAMES], "value_range": [0, 10000], "shown": ["nir", "red", "green"]}
    data = {"mean": [*MEAN], "std": [*STD], "channels": channels}
    checkpoint["config"]["data"] |= data
    torch.save({**checkpoint, "state_dict": task.state_dict()}, tmp_path / "last.ckpt")
    (tmp_path / "images").mkdir()
    write(tmp_path / "images/a.tif", PIXELS)
    place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    write(tmp_path / "images/b.tif", PIXELS, **place)
    main(
        [
            *("predict", f"--ckpt_path={tmp_path / 'last.ckpt'}", "--data.workers=0"),
            *(f"--data.images={tmp_path / 'images'}", f"--output.folder={tmp_path / 'out'}"),
            *("--output.forms=[index,overlay]", "--wandb=off", "--trainer.accelerator=cpu"),
            *("--trainer.precision=32-true", f"--logs={tmp_path / 'logs'}"),
        ]
    )
    expected = predictor(PIXELS).label
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out/index/a.png")), expected)
    with rasterio.open(tmp_path / "out/index/b.tif") as file:
        assert file.transform == place["transform"]
        np.testing.assert_array_equal(file.read(1), expected)
    with pytest.raises(SystemExit):
        explain([str(tmp_path / "last.ckpt"), f"--root={tmp_path}"])


def test_an_export_is_refused(predictor, tmp_path):
    with pytest.raises(
        UserError, match="RGB of 8 bits alone, and the network red, green, blue, nir"
    ):
        export(predictor.trained, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
