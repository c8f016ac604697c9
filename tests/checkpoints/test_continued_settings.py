"""Settings of other codes' optimizers beside those of a run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pspnet import PSPNet
from pspnet.checkpoints.continued_settings import check_settings, rates
from pspnet.errors import UserError
from pspnet.lr_schedules import PolyLR, set_rates
from pspnet.models.published.training_state import Poly, TrainingState

PATH = Path("iter_9.pth")
SGD = {"momentum": 0.9, "dampening": 0, "nesterov": False}


@pytest.fixture(scope="module")
def network():
    return PSPNet(3, "tu-test_resnet", decoder_channels=4, auxiliary_channels=4)


def names(network):
    return {id(parameter): name for name, parameter in network.named_parameters()}


def optimizer(network, kind=torch.optim.SGD, factor=10.0, norm_decay=True, **options):
    groups = network.parameter_groups(new_layer_factor=factor, norm_decay=norm_decay)
    options = {"lr": 0.01, "weight_decay": 5e-4} | options
    built = kind(groups, **options | ({"momentum": 0.9} if kind is torch.optim.SGD else {}))
    set_rates(built, options["lr"])
    PolyLR(built)  # sets the base rates
    return built


def theirs(network, *, lr=0.01, new=0.1, decay=5e-4, norms=None, first=True, **more):
    """The state of a training with a group of its own for each parameter."""
    options = {}
    for name, parameter in network.named_parameters():
        rate = lr if name.startswith("encoder.") else new
        is_norm = parameter.ndim == 1 and name not in ("decoder.4.bias", "auxiliary.4.bias")
        own = {"lr": rate / 2, "weight_decay": norms if is_norm and norms is not None else decay}
        options[name] = own | ({"initial_lr": rate} if first else {}) | SGD | more
    return TrainingState("mmsegmentation 0.x", 9, None, {}, options, rate_age=1)


def adam(network, *, amsgrad=False, entries=(), **more):
    """The state of an Adam, with `entries` of the classifier's bias."""
    state = theirs(network, betas=(0.9, 0.999), eps=1e-8, amsgrad=amsgrad, **more)
    for options in state.options.values():
        del options["momentum"]
    bias = {name: torch.zeros(() if name == "step" else 3) for name in entries}
    return replace(state, buffers={"decoder.4.bias": bias}, optimizer="Adam")


def refusal(training, built, network):
    with pytest.raises(UserError) as caught:
        check_settings(training, built, network, path=PATH)
    assert str(caught.value).startswith(f"continue_from={PATH}: ")
    return str(caught.value)


def test_settings_of_a_run_are_those_of_the_file(network):
    check_settings(theirs(network), optimizer(network), network, path=PATH)
    check_settings(
        theirs(network, norms=0.0), optimizer(network, norm_decay=False), network, path=PATH
    )
    # semseg's files have no base rates
    check_settings(
        theirs(network, lr=3.0, new=30.0, first=False), optimizer(network), network, path=PATH
    )


def test_options_that_make_them_the_same_are_named(network):
    line = refusal(theirs(network, new=0.01, norms=0.0, momentum=0.8), optimizer(network), network)
    assert line.endswith(
        ": this run has new_layer_factor=10, norm_decay=true, optimizer.momentum=0.9; to continue, "
        "give --model.new_layer_factor=1 --model.norm_decay=false --model.optimizer.momentum=0.8"
    )
    line = refusal(theirs(network, lr=0.02, new=0.2, decay=0.1), optimizer(network), network)
    assert line.endswith("--model.optimizer.lr=0.02 --model.optimizer.weight_decay=0.1")


def test_settings_that_no_options_give_are_refused(network):
    training = theirs(network)
    training.options["decoder.4.bias"]["initial_lr"] = 0.2
    line = refusal(training, optimizer(network), network)
    assert "initial_lr is 0.2 of 'decoder.4.bias' and 0.1 of 'pyramid.levels.0.0.weight'" in line
    line = refusal(theirs(network, norms=0.1), optimizer(network), network)
    assert "the normalizations' weight_decay is 0.1, not 0 or all's" in line


def test_other_optimizers_are_refused(network):
    adam = optimizer(network, torch.optim.Adam)
    assert "is SGD, and this run's is Adam; give" in refusal(theirs(network), adam, network)
    state = theirs(network)
    betas = {name: {"betas": (0.9, 0.999), "lr": 0.1, "weight_decay": 0} for name in state.options}
    training = TrainingState("semseg", 9, None, {}, betas, rate_age=0)
    assert "is Adam, and this run's is SGD" in refusal(training, optimizer(network), network)
    named = TrainingState("", 9, None, {}, betas, rate_age=0, optimizer="AdamW")
    assert "is AdamW, and this run's is Adam" in refusal(named, adam, network)
    strange = {"decoder.4.bias": {"exp_avg": torch.zeros(3)}}
    training = TrainingState("", 9, None, strange, state.options, rate_age=0)
    assert "its optimizer's 'exp_avg' is none of SGD's" in refusal(
        training, optimizer(network), network
    )
    known = optimizer(network, torch.optim.RMSprop)
    line = refusal(state, known, network)
    assert line.endswith("model.optimizer: the state of SGD, Adam, AdamW is known; give one")


def test_a_file_of_an_unknown_optimizer_is_for_its_weights_alone(network):
    remedy = f"the state of SGD, Adam, AdamW is known; start from its weights by --init_from={PATH}"
    lamb = replace(theirs(network), optimizer="Lamb")
    for kind in (torch.optim.SGD, torch.optim.RMSprop):
        line = refusal(lamb, optimizer(network, kind), network)
        assert line.endswith(f"its optimizer is Lamb, and {remedy}")
    plain = theirs(network)
    for options in plain.options.values():
        del options["momentum"]
    assert refusal(plain, optimizer(network), network).endswith(f"is another one, and {remedy}")
    strange = {"decoder.4.bias": {"square_avg": torch.zeros(3)}}
    line = refusal(replace(theirs(network), buffers=strange), optimizer(network), network)
    assert "its optimizer's 'square_avg' is none of SGD's" in line
    assert line.endswith(f"start from its weights by --init_from={PATH}")


def test_groups_without_their_optimizers_own_setting_are_refused(network):
    state = replace(theirs(network), optimizer="SGD")
    del state.options["decoder.4.bias"]["momentum"]
    assert "has a group without momentum" in refusal(state, optimizer(network), network)
    state = replace(theirs(network), optimizer="Adam")
    built = optimizer(network, torch.optim.Adam)
    assert "has a group without betas" in refusal(state, built, network)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_has_all_of_a_parameters_state_or_none(network, amsgrad):
    built = optimizer(network, torch.optim.Adam, amsgrad=amsgrad)
    every = ("step", "exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else []))
    for entries in ((), every):
        check_settings(adam(network, amsgrad=amsgrad, entries=entries), built, network, path=PATH)
    for lacking in every:
        rest = [name for name in every if name != lacking]
        line = refusal(adam(network, amsgrad=amsgrad, entries=rest), built, network)
        assert f"its optimizer lacks {lacking!r} of 'decoder.4.bias'; a damaged file" in line


def test_a_line_says_where_the_rates_differ(network):
    built = optimizer(network)
    schedule = PolyLR(built, total_steps=100)
    schedule.load_state_dict({"last_epoch": 9, "_step_count": 10})
    training = theirs(network)
    for name, options in training.options.items():
        base = 0.01 if name.startswith("encoder.") else 0.1
        options["lr"] = base * (1 - 8 / 100) ** 0.9  # of the ninth step, the last one there
    assert rates(training, schedule, names(network), steps=9) is None
    schedule.set_total_steps(90)
    line = rates(training, schedule, names(network), steps=9)
    assert line is not None
    assert "at step 8 its learning rate is 0.00927703, and here 0.00919632" in line
    assert "trainer.max_steps" in line
    floored = TrainingState("", 9, None, {}, training.options, 1, poly=Poly(0.9, 1e-4, 100))
    line = rates(floored, schedule, names(network), steps=9)
    assert line is not None
    assert line.endswith(
        "its floor is 0.0001 for all groups, and here a share of each group's rate"
    )
    schedule = PolyLR(optimizer(network, factor=1.0), total_steps=90, warmup_steps=8)
    line = rates(floored, schedule, names(network), steps=9)
    assert line is not None
    assert line.endswith(
        "--model.lr_scheduler.floor=0.01 --model.lr_scheduler.warmup_steps=0 "
        "--model.lr_scheduler.total_steps=100"
    )
