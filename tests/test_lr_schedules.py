from itertools import pairwise

import pytest
import torch

from pspnet.errors import UserError
from pspnet.lr_schedules import PolyLR, poly


def two_groups(*, new: float = 0.1) -> torch.optim.SGD:
    """SGD as in the paper: base rate 0.01 for the encoder, ten times it for new layers."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    return torch.optim.SGD(
        [{"params": weights[:1], "lr": 0.01}, {"params": weights[1:], "lr": new}], lr=0.01
    )


def rates(optimizer, schedule, *, steps: int) -> list[list[float]]:
    seen = []
    for _ in range(steps):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return seen


def test_poly_is_the_papers_formula():
    # values worked out by hand: (1 - 1/2)^0.9, (1 - 9/10)^0.9, (3/4)^2
    assert poly(0, total=10) == 1
    assert poly(5, total=10) == pytest.approx(0.5358867312681466)
    assert poly(9, total=10) == pytest.approx(0.12589254117941673)
    assert poly(1, total=4, power=2) == pytest.approx(0.5625)
    assert poly(10, total=10) == 0


def test_poly_stays_at_the_floor_after_the_end():
    assert poly(11, total=10) == 0
    assert poly(1000, total=10, floor=0.25) == 0.25


def test_floor_gives_the_curve_of_an_absolute_minimum():
    # mmsegmentation: every step moves the rate towards min_lr by ((T - t) / (T - t + 1))^power
    base, minimum, total = 0.01, 1e-4, 50
    rate = base
    for step in range(1, total):
        rate = (rate - minimum) * (1 - 1 / (total - step + 1)) ** 0.9 + minimum
        assert base * poly(step, total=total, floor=minimum / base) == pytest.approx(rate)


@pytest.mark.parametrize("floor", [0.0, 0.01, 0.5])
def test_poly_falls_from_one_to_the_floor(floor):
    factors = [poly(step, total=100, floor=floor) for step in range(101)]
    assert factors[0] == 1
    assert factors[-1] == floor
    assert all(later < earlier for earlier, later in pairwise(factors))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"total": 0}, "total_steps=0"),
        ({"total": -5}, "total_steps=-5"),
        ({"total": 10, "power": 0.0}, "power=0.0"),
        ({"total": 10, "power": -1.0}, "power=-1.0"),
        ({"total": 10, "floor": -0.1}, "floor=-0.1"),
        ({"total": 10, "floor": 1.0}, "floor=1.0"),
    ],
)
def test_wrong_numbers_are_refused(numbers, message):
    total_steps = numbers.pop("total")
    with pytest.raises(UserError, match=message):
        PolyLR(two_groups(), total_steps=total_steps, **numbers)


@pytest.mark.parametrize("warmup_steps", [-1, 10, 11])
def test_wrong_warmup_is_refused(warmup_steps):
    with pytest.raises(UserError, match=rf"warmup_steps={warmup_steps}.*0 to 9"):
        PolyLR(two_groups(), total_steps=10, warmup_steps=warmup_steps)


@pytest.mark.parametrize("warmup_steps", [0, 5])
def test_new_layers_keep_ten_times_the_rate_at_every_step(warmup_steps):
    optimizer = two_groups()
    schedule = PolyLR(optimizer, total_steps=20, floor=0.05, warmup_steps=warmup_steps)
    seen = rates(optimizer, schedule, steps=25)
    assert all(new == pytest.approx(10 * old, rel=1e-12) for old, new in seen)
    assert [old for old, _ in seen][warmup_steps:20] == pytest.approx(
        [0.01 * (0.05 + 0.95 * (1 - t / 20) ** 0.9) for t in range(warmup_steps, 20)]
    )
    assert seen[-1][0] == pytest.approx(0.01 * 0.05)


def test_warmup_grows_linearly_into_the_curve():
    optimizer = two_groups()
    schedule = PolyLR(optimizer, total_steps=1000, warmup_steps=4)
    seen = [old for old, _ in rates(optimizer, schedule, steps=5)]
    curve = [0.01 * (1 - t / 1000) ** 0.9 for t in range(5)]
    expected = [part * rate for part, rate in zip([0.25, 0.5, 0.75, 1, 1], curve, strict=True)]
    assert seen == pytest.approx(expected)


def test_resumed_schedule_goes_on_at_the_same_rates(tmp_path):
    optimizer = two_groups()
    schedule = PolyLR(optimizer, total_steps=30, floor=0.01, warmup_steps=3)
    whole = rates(optimizer, schedule, steps=30)

    optimizer = two_groups()
    schedule = PolyLR(optimizer, total_steps=30, floor=0.01, warmup_steps=3)
    rates(optimizer, schedule, steps=12)
    state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    torch.save(state, tmp_path / "state.pt")

    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = two_groups()
    schedule = PolyLR(resumed, total_steps=30, floor=0.01, warmup_steps=3)
    resumed.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    assert rates(resumed, schedule, steps=18) == whole[12:]


def test_resuming_with_more_steps_follows_the_longer_curve():
    optimizer = two_groups()
    schedule = PolyLR(optimizer, total_steps=10)
    rates(optimizer, schedule, steps=8)

    longer = two_groups()
    resumed = PolyLR(longer, total_steps=100)
    longer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    resumed.step()
    assert resumed.get_last_lr()[0] == pytest.approx(0.01 * (1 - 9 / 100) ** 0.9)


def test_a_group_added_later_keeps_the_rate_that_it_was_given():
    optimizer = two_groups()
    schedule = PolyLR(optimizer, total_steps=10)
    added = torch.nn.Parameter(torch.zeros(1))
    optimizer.add_param_group({"params": [added], "lr": 0.5})
    seen = rates(optimizer, schedule, steps=3)
    assert [row[2] for row in seen] == [0.5] * 3
    assert seen[2][0] == pytest.approx(0.01 * (1 - 2 / 10) ** 0.9)
