"""A small network with random weights as a checkpoint of a run."""

from pathlib import Path

import lightning
import torch

from pspnet.data.datasets.classes import Classes
from pspnet.models.pspnet import PSPNet
from pspnet.task import Segmentation

CLASSES = Classes(("sky", "road", "tree"), ((0, 0, 255), (90, 90, 90), (0, 160, 0)))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def small_task(kind=PSPNet, **options) -> Segmentation:
    torch.manual_seed(0)
    network = kind(3, encoder="tu-test_resnet", decoder_channels=8, auxiliary=False)
    for module in network.modules():  # statistics that differ from channel to channel
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.nn.init.normal_(network.decoder[-1].weight, std=1.0)
    with torch.no_grad():  # so that each class is somewhere the highest
        network.decoder[-1].bias -= network.eval()(torch.randn(1, 3, 49, 81)).mean((0, 2, 3))
    return Segmentation(network, CLASSES, crop_size=(65, 65), **options).eval()


def write_checkpoint(path: Path, task: Segmentation) -> Path:
    checkpoint = {
        "pytorch-lightning_version": lightning.__version__,
        "epoch": 0,
        "global_step": 0,
        "state_dict": task.state_dict(),
    }
    task.on_save_checkpoint(checkpoint)
    checkpoint["config"]["data"] |= {"mean": [*MEAN], "std": [*STD]}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path
