"""States of optimizers that cannot be resumed."""

import pytest
import torch

from pspnet.checkpoints.resumed_state import optimizer_differences


@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor")
def test_states_of_strange_numbers_are_no_parameters():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    optimizer.state[weight] = {key: torch.ones(2) for key in ("exp_avg", "exp_avg_sq")}

    def differing(**entries):
        saved = optimizer.state_dict()
        saved["state"] = {0: {**saved["state"][0], "step": torch.tensor(3.0), **entries}}
        return [*optimizer_differences(saved, optimizer)]

    assert differing() == []
    assert differing(step=3) == []
    quantized = torch.quantize_per_tensor(torch.tensor([1.0, 2.0]), 0.1, 0, torch.quint8)
    for name, value in (
        ("step", 10**400),
        ("step", quantized[0]),
        ("step", torch.tensor(1.0, device="meta")),
        ("exp_avg", quantized),
        ("exp_avg", torch.ones(2).to_sparse()),
    ):
        (line,) = differing(**{name: value})
        assert line == f"optimizer_states.state.0.{name} is not like its parameter"
