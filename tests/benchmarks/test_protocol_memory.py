"""The table of evaluations' peak memory."""

import pytest
import torch

from benchmarks import peak_memory, protocol_memory
from benchmarks.protocol_memory import COLUMNS, Evaluation, build, main, row
from pspnet.errors import UserError


def test_a_row_holds_the_peak_and_the_sizes_of_scores(monkeypatch):
    monkeypatch.setattr(peak_memory, "peak", lambda build, **_: 3 * 2**20)
    cells = row(Evaluation((512, 1024), 16, "paper-ms", 4)).strip("| ").split(" | ")
    window = 4 * 16 * 713**2 * 4 / 2**20
    assert cells == ["paper-ms", "1024×512", "16", "4", "3", "32", f"{window:.0f}", "98"]
    assert len(cells) == len(COLUMNS)


def test_the_call_evaluates_the_image(monkeypatch):
    monkeypatch.setattr(protocol_memory, "CROP", 65)
    scores = build(Evaluation((70, 80), 3, "paper-ss", 2))()
    assert isinstance(scores, torch.Tensor)
    assert scores.shape == (1, 3, 70, 80)
    assert not scores.requires_grad
    torch.testing.assert_close(scores.sum(1), torch.ones(1, 70, 80))


def test_a_system_that_does_not_tell_memory_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(peak_memory, "measurable", lambda device: False)
    with pytest.raises(UserError, match="Linux only"):
        main()
    assert capsys.readouterr().out == ""
