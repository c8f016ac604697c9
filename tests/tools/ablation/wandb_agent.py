"""The command that W&B's agent composes for a run, by W&B's own functions."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import pytest


def agent_words(sweep: Mapping[str, Any], values: Mapping[str, Any], *, data: str) -> list[str]:
    """Return the words of the command; skip the test where W&B has other functions."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")  # private, so it may go
    if not hasattr(utils, "create_sweep_command") or not hasattr(
        utils, "create_sweep_command_args"
    ):
        pytest.skip("this version of wandb composes commands elsewhere")
    # its server sends the values as JSON with sorted keys
    sent = json.loads(json.dumps(dict(sorted(values.items()))))
    macros = utils.create_sweep_command_args({"args": {k: {"value": v} for k, v in sent.items()}})
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "DATA", data)
        words = utils.create_sweep_command(list(sweep["command"]))
    return [part for word in words for part in macros.get(word[2:-1], [word])]
