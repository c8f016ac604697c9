"""Hostile and damaged checkpoints, made of a good one by replacing and damaging its parts."""

import copy
import io
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch

from pspnet import PSPNet
from pspnet.data.datasets.classes import Classes
from pspnet.task import Segmentation

MISSING = object()
WORDS = (
    "evil_module.Evil",
    "os.system",
    "canary.yaml",
    "canary",
    "../up",
    "/etc/passwd",
    "a\x1b\nb",
)
VALUES: tuple[Any, ...] = (
    *(MISSING, None, True, 0, -1, 10**400, 1.5, float("nan"), float("inf"), "", b"x", 1j),
    *([], [[]], {}, {1: 2}, [None], {"class_path": "evil_module.Evil"}, {"class_path": 3}),
    *({"class_path": "os.system", "init_args": {"command": "touch ran"}}, torch.ones(2), *WORDS),
    {"init_args": "canary.yaml"},
)
EVIL = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nclass Evil: pass\n"


def good(root: Path) -> dict[str, Any]:
    """Return the content of a small checkpoint as `fit` writes it, whose data set is at `root`."""
    network = PSPNet(3, encoder="tu-test_resnet", decoder_channels=4, auxiliary_channels=4)
    classes = Classes(("ground", "disc", "bar"), ((9, 9, 9), (8, 0, 0), (0, 0, 8)))
    task = Segmentation(network, classes, crop_size=(41, 41))
    checkpoint: dict[str, Any] = {
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": task.state_dict(),
        **{"epoch": 1, "global_step": 2, "optimizer_states": [], "lr_schedulers": []},
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 1}}}},
        "callbacks": {},
    }
    task.on_save_checkpoint(checkpoint)
    sgd = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.02, "momentum": 0.9}}
    poly = {"class_path": "pspnet.lr_schedules.PolyLR", "init_args": {"power": 0.9}}
    loss = {"class_path": "pspnet.losses.OhemCrossEntropy", "init_args": {"min_kept": 5}}
    stop = {"class_path": "lightning.pytorch.callbacks.EarlyStopping"}
    source = {"class_path": "pspnet.data.Folder", "init_args": {"root": str(root), "seed": 0}}
    checkpoint["config"] = {
        **{"name": "run", "seed_everything": 5},
        "trainer": {
            **{"accelerator": "cpu", "precision": "32-true", "max_epochs": 2, "logger": None},
            "callbacks": [{**stop, "init_args": {"monitor": "val/miou", "mode": "max"}}],
        },
        "data": {"source": source, "crop_size": [41, 41], "batch_size": 5, "cache": None},
        "model": {"optimizer": sgd, "lr_scheduler": poly, "loss": loss, "absent": "skip"},
    }
    return checkpoint


def mutations(base: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a name and the checkpoint with one entry replaced, for each entry and value.

    The tensors are replaced in a few places only, as they are checked alike.
    """
    for place in [*places(base)]:
        for number, value in enumerate(VALUES):
            yield f"{'.'.join(map(str, place))}={number}", changed(base, place, value)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    few = len(place) == 1 and place[0] in ("state_dict", "structure")
    if isinstance(value, dict):
        for key in [*value][: 3 if few else None]:
            yield from places(value[key], (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*place, index))


def changed(base: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy, which shares the tensors, with one entry replaced or removed."""
    top = {**base, place[0]: copy.deepcopy(base[place[0]]) if len(place) > 1 else None}
    holder: Any = top
    for key in place[:-1]:
        holder = holder[key]
    if value is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return top


def damaged_weights(state: dict[str, torch.Tensor]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a name and a state dict that no network should be given."""
    key = next(k for k in state if state[k].ndim == 4)
    var = next(k for k in state if k.endswith("running_var"))
    for name, number in (("nan", "nan"), ("inf", "inf"), ("minus inf", "-inf")):
        spoilt = state[key].clone()
        spoilt[0, 0, 0, 0] = float(number)
        yield name, {**state, key: spoilt}
    for kind in (torch.complex64, torch.int64, torch.bool):
        yield str(kind), {**state, key: state[key].to(kind)}
    yield "sparse", {**state, key: state[key].to_sparse()}
    yield "meta", {**state, key: state[key].to("meta")}
    yield "expanded", {**state, key: torch.zeros(1).expand(10**6, 10**6)}
    yield "shape", {**state, key: state[key][:1]}
    yield "variance", {**state, var: -state[var]}
    yield "double", {**state, key: state[key].double() * 1e300}
    yield "missing", {k: v for k, v in state.items() if k != key}
    yield "extra", {**state, "network.x": torch.zeros(1)}
    yield "foreign", {**state, "evil.x": torch.zeros(1)}
    yield "empty", {}


def damaged_files(content: dict[str, Any], seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield a name and the bytes of a file that was cut, changed, or never was a checkpoint."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    whole, draw = buffer.getvalue(), torch.Generator().manual_seed(seed)

    def place(size: int = 1) -> int:
        return int(torch.randint(len(whole) - size, (), generator=draw))

    for _ in range(20):
        cut, flip, zero = place(), place(), place(4096)
        yield f"cut at {cut}", whole[:cut]
        yield f"bit at {flip}", whole[:flip] + bytes([whole[flip] ^ 16]) + whole[flip + 1 :]
        yield f"zeros at {zero}", whole[:zero] + bytes(4096) + whole[zero + 4096 :]
    yield "random", torch.randint(256, (5000,), generator=draw).to(torch.uint8).numpy().tobytes()
    yield from {
        "empty": b"",
        "text": b"name: run\n",
        "zip": b"PK\x03\x04",
        "end": whole[-400:],
    }.items()
    yield "older torch", _older(content)
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as one, zipfile.ZipFile(packed, "w", 8) as other:
        for entry in one.infolist():
            other.writestr(entry.filename, one.read(entry))
        other.writestr("archive/data/9999", bytes(10**8))
    yield "bomb", packed.getvalue()


def _older(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()[:-5000]


class Watch:
    """Records what a program must not do for a checkpoint; as an audit hook it stays for good."""

    def __init__(self) -> None:
        self.active, self.seen = False, []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active:
            return
        runs = event in ("os.system", "subprocess.Popen", "socket.connect", "os.exec", "os.remove")
        opens = event == "open" and any(word in str(args[0]) for word in ("canary", "/etc/passwd"))
        imports = event == "import" and str(args[0]).startswith("evil_module")
        if runs or opens or imports:
            self.seen.append(f"{event} {args[0]!r}")

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.active, self.seen = True, []
        try:
            yield
        finally:
            self.active = False
