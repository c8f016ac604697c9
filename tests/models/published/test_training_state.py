"""Optimizer, step and schedule of other codes' training checkpoints."""

from itertools import pairwise

import pytest
import torch
from foreign import filled, from_mmsegmentation, from_semseg, mmsegmentation, semseg
from mmengine_classes import mmengine

from pspnet.errors import UserError
from pspnet.models.published.training_state import (
    Poly,
    read_training_state,
    weights_in_training,
)
from pspnet.models.published.weights_file import read_weights

BN = ("running_mean", "running_var", "num_batches_tracked")
CONFIG = (
    "optimizer = dict(type='SGD', lr=0.01)\n"
    "lr_config = dict(policy='poly', power=0.9, min_lr=0.0001, by_epoch=False)\n"
    "runner = dict(type='IterBasedRunner', max_iters=40000)\n"
    "checkpoint_config = dict(by_epoch=False, interval=4000)\n"
)
PLAIN = filled(mmsegmentation(18, 3, v1c=False), hollow=True)


def parameters(state):
    return [key for key in state if not key.endswith(BN)]


def optimizer(state, keys, *, numbers=None, groups=1, **options):
    """An SGD's state whose buffers hold the place of their parameter among `keys`."""
    numbers = [*range(len(keys))] if numbers is None else numbers
    buffers = {
        number: {"momentum_buffer": torch.full((), float(place)).expand(state[key].shape)}
        for place, (number, key) in enumerate(zip(numbers, keys, strict=True))
    }
    group = {"lr": 0.005, "momentum": 0.9, "weight_decay": 5e-4, **options}
    cuts = [*range(0, len(keys), -(-len(keys) // groups)), len(keys)]
    return {
        "state": buffers,
        "param_groups": [{**group, "params": numbers[start:end]} for start, end in pairwise(cuts)],
    }


def read(tmp_path, **content):
    path = tmp_path / "a.pth"
    with mmengine():
        torch.save({"state_dict": PLAIN, **content}, path)
    weights = read_weights(path)
    names = [own(key) for key in parameters(weights.state)]
    return read_training_state(weights, names)


def own(key):
    return from_mmsegmentation(key)


def first(value):
    return value.flatten()[0].item()


def test_semsegs_optimizer_has_the_order_of_its_groups(tmp_path):
    state = filled(semseg(50, 3), hollow=True)
    keys = parameters(state)  # layer0 to layer4, ppm, cls, aux
    groups = optimizer(state, keys, numbers=[140000 + 8 * i for i in range(len(keys))], groups=8)
    # the heads first, as in a network that defines them first; inside a group nothing moves
    mixed = sorted(state, key=lambda key: not key.startswith(("aux.", "cls.")))
    content = {f"module.{key}": state[key] for key in mixed}
    torch.save({"epoch": 7, "state_dict": content, "optimizer": groups}, tmp_path / "a.pth")
    found = read_training_state(read_weights(tmp_path / "a.pth"), map(from_semseg, keys))
    assert (found.steps, found.epochs, found.rate_age, found.poly) == (None, 7, 0, None)
    assert [first(found.buffers[from_semseg(key)]["momentum_buffer"]) for key in keys] == [
        *range(len(keys))
    ]
    assert found.options["decoder.4.bias"]["weight_decay"] == 5e-4


@pytest.mark.parametrize(
    ("text", "steps", "poly"),
    [
        (CONFIG, 4000, Poly(0.9, 1e-4, 40000)),
        ("", 4000, None),
        (CONFIG.replace("runner", "other") + "total_iters = 80000\n", 4000, Poly(0.9, 1e-4, 80000)),
        (CONFIG.replace("by_epoch=False)", "by_epoch=False, warmup='linear')"), 4000, None),
        ("runner = dict(type='EpochBasedRunner', max_epochs=9)\n", 3999, None),
        ("checkpoint_config = dict(by_epoch=True)\n", 3999, None),
    ],
)
def test_mmcv_counts_a_step_after_it_is_saved(tmp_path, text, steps, poly):
    scale = {"scale": 512.0, "_growth_tracker": 3}
    meta = {"epoch": 2, "iter": 3999, "config": text, "fp16": {"loss_scaler": scale}}
    keys = parameters(PLAIN)
    found = read(tmp_path, meta=meta, optimizer=optimizer(PLAIN, keys, groups=len(keys)))
    assert (found.origin, found.steps, found.rate_age) == ("mmsegmentation 0.x", steps, 1)
    assert (found.poly, found.loss_scale) == (poly, scale)
    assert [first(found.buffers[own(key)]["momentum_buffer"]) for key in keys] == [
        *range(len(keys))
    ]


def test_mmengine_counts_a_step_before_and_its_decay_is_one_step_shorter(tmp_path):
    one = {"eta_min": 1e-4, "power": 0.9, "total_iters": 39999, "begin": 0, "by_epoch": False}
    state = optimizer(PLAIN, parameters(PLAIN)) | {"loss_scaler": {"scale": 2.0}}
    meta = {"iter": 4000, "epoch": 0, "cfg": "optim_wrapper = dict(optimizer=dict(type='AdamW'))"}
    content = {"meta": meta, "optimizer": state, "message_hub": {}, "ema_state_dict": {}}
    found = read(tmp_path, **content, param_schedulers=[one])
    assert (found.origin, found.steps, found.rate_age) == ("mmsegmentation 1.x", 4000, 0)
    assert (found.poly, found.optimizer) == (Poly(0.9, 1e-4, 39999), "AdamW")
    assert (found.loss_scale, found.averages) == ({"scale": 2.0}, True)
    assert read(tmp_path, **content, param_schedulers=[one, one]).poly is None


def refused(tmp_path, **content):
    with pytest.raises(UserError) as caught:
        read(tmp_path, **{"meta": {"iter": 10, "config": CONFIG}, **content})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"continue_from={tmp_path / 'a.pth'}: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("lr", "0.1", "'0.1'"),
        ("lr", [0.1, 0.2], "list"),
        pytest.param("lr", 10**400, "a huge number", id="huge"),
        ("initial_lr", [0.1, 0.2], "list"),
        ("weight_decay", torch.nan, "nan"),
        ("momentum", "0.5", "'0.5'"),
        ("momentum", torch.tensor(0.5), "Tensor"),
        ("dampening", None, "None"),
        ("betas", 0.9, "0.9"),
        ("betas", (0.9, 0.99, 0.999), "tuple"),
        ("betas", (0.9, torch.inf), "tuple"),
        ("eps", -torch.inf, "-inf"),
    ],
)
def test_settings_that_are_no_finite_numbers_are_refused(tmp_path, name, value, shown):
    line = refused(tmp_path, optimizer=optimizer(PLAIN, parameters(PLAIN), **{name: value}))
    assert line.endswith(f"its optimizer has {name}={shown}, no finite number; a damaged file")


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
def test_a_group_without_a_setting_is_refused(tmp_path, name):
    state = optimizer(PLAIN, parameters(PLAIN), groups=2)
    del state["param_groups"][1][name]
    assert f"a group without {name}; a damaged file" in refused(tmp_path, optimizer=state)


SHAPE = (64, 3, 7, 7)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("momentum_buffer", torch.zeros(2), "is (2,), not (64, 3, 7, 7); another network's"),
        ("momentum_buffer", 1.0, "is (), not (64, 3, 7, 7); another network's"),
        ("momentum_buffer", torch.full(SHAPE, torch.nan), "is no finite numbers"),
        ("momentum_buffer", torch.full(SHAPE, -torch.inf), "is no finite numbers"),
        ("momentum_buffer", "text", "is no finite numbers"),
        ("momentum_buffer", torch.zeros(SHAPE).to_sparse(), "is no finite numbers"),
        ("momentum_buffer", torch.zeros(SHAPE, dtype=torch.cfloat), "is no finite numbers"),
        ("momentum_buffer", torch.quint8, "is no finite numbers"),
        ("exp_avg_sq", torch.full(SHAPE, -1e-9), "has -1e-09, the average of squares of no"),
        ("max_exp_avg_sq", torch.full(SHAPE, -1.0), "has -1, the average of squares of no"),
        ("step", torch.zeros(2), "is (2,), not (); another network's"),
        pytest.param("step", 10**400, "is no finite numbers", id="huge"),
        ("step", torch.nan, "is no finite numbers"),
        ("step", torch.tensor(torch.inf), "is no finite numbers"),
        ("step", -5, "has -5, the count of no training"),
        ("step", torch.tensor(2.0**60), "has 1.15292e+18, the count of no training"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor")
def test_buffers_that_no_training_has_are_refused(tmp_path, name, value, said):
    if isinstance(value, torch.dtype):
        value = torch.quantize_per_tensor(torch.zeros(SHAPE), 0.1, 0, value)
    state = optimizer(PLAIN, parameters(PLAIN))
    state["state"][0] = {name: value}
    assert f"{name} of 'backbone.conv1.weight' {said}" in refused(tmp_path, optimizer=state)


@pytest.mark.parametrize("entries", [torch.ones(2), [], {"momentum_buffer": None, 1: 0.0}])
def test_a_state_that_is_no_mapping_is_refused(tmp_path, entries):
    state = optimizer(PLAIN, parameters(PLAIN))
    state["state"][0] = entries
    line = refused(tmp_path, optimizer=state)
    assert "state of 'backbone.conv1.weight' is no mapping; a damaged file" in line


def test_a_parameter_without_buffers_has_none(tmp_path):
    state = optimizer(PLAIN, parameters(PLAIN))
    state["state"][0] = {"momentum_buffer": None}  # as torch's SGD before its first step
    del state["state"][1]
    found = read(tmp_path, meta={"iter": 10, "config": CONFIG}, optimizer=state)
    assert len(found.buffers) == len(parameters(PLAIN)) - 2


def test_the_weights_in_training_are_those_of_ema_state_dict(tmp_path):
    """As `EMAHook.after_load_checkpoint` of mmengine swaps them back for a resumed training."""
    ema = {f"module.{key}": torch.tensor(3.0).expand(v.shape) for key, v in PLAIN.items()}
    del ema["module.backbone.layer1.0.conv1.weight"]
    path = tmp_path / "a.pth"

    def taken(saved):
        torch.save({"meta": {}, "state_dict": PLAIN, "ema_state_dict": saved}, path)
        return weights_in_training(read_weights(path)).state

    state = taken({"steps": torch.tensor(9), **ema})
    assert [*state] == [*PLAIN]  # the optimizer has this order
    kept = {key for key, value in state.items() if torch.equal(value, PLAIN[key])}
    assert kept == {"backbone.layer1.0.conv1.weight"}
    assert first(state["backbone.conv1.weight"]) == first(state["backbone.bn1.running_mean"]) == 3
    for damaged, said in (
        ([], "its ema_state_dict is no mapping"),
        ({"module.backbone.conv9.weight": torch.ones(1)}, "'backbone.conv9.weight' is no weight"),
        ({"module.backbone.conv1.weight": "text"}, "'backbone.conv1.weight' is no weight"),
    ):
        with pytest.raises(UserError, match=f"{said}; a damaged file"):
            taken(damaged)


@pytest.mark.parametrize(("name", "found"), [("torch.optim.sgd.SGD", "SGD"), ("my.SGD", "my.SGD")])
def test_an_optimizer_is_named_by_its_class(tmp_path, name, found):
    meta = {"iter": 4000, "cfg": f"optim_wrapper = dict(optimizer=dict(type='{name}'))"}
    assert (
        read(tmp_path, meta=meta, optimizer=optimizer(PLAIN, parameters(PLAIN))).optimizer == found
    )


def test_a_schedule_of_damaged_numbers_is_none(tmp_path):
    one = {"eta_min": 1e-4, "power": 0.9, "total_iters": 39999, "begin": 0, "by_epoch": False}
    for name, value in (
        ("eta_min", 10**400),
        ("power", torch.nan),
        ("total_iters", 10**400),
        ("begin", torch.zeros(2)),
    ):
        content = {"meta": {"iter": 9, "cfg": ""}, "param_schedulers": [{**one, name: value}]}
        content["optimizer"] = optimizer(PLAIN, parameters(PLAIN))
        assert read(tmp_path, **content).poly is None, name


def test_damaged_and_other_trainings_are_refused(tmp_path):
    keys = parameters(PLAIN)
    good = optimizer(PLAIN, keys)
    meta = {"iter": 10, "config": CONFIG}

    def refusal(**content):
        return refused(tmp_path, **{"optimizer": good, **content})

    assert "holds no optimizer; start from it by --init_from=" in refusal(optimizer={})
    fewer = {**good, "param_groups": [{**good["param_groups"][0], "params": [0, 1]}]}
    assert f"its optimizer has 2 parameters, its network {len(keys)}" in refusal(optimizer=fewer)
    assert "iter=None, not the count of a training" in refusal(meta={"config": CONFIG})
    assert "iter=a huge number, not the" in refusal(meta={**meta, "iter": 10**400})
    for part, name in (
        ("optimizer_config", "cumulative_iters"),
        ("optim_wrapper", "accumulative_counts"),
    ):
        line = refusal(meta={**meta, "config": f"{part} = dict({name}=4)"})
        assert f"{name}=4: an iteration of it is a part of a step" in line
    torch.save({"layer1.0.weight": torch.ones(1)}, tmp_path / "b.pth")
    with pytest.raises(UserError, match="no training of semseg or mmsegmentation"):
        read_training_state(read_weights(tmp_path / "b.pth"), [])
