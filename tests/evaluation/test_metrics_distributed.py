"""Metrics of a distributed run: two processes must agree with one exactly."""

from datetime import timedelta

import pytest
import torch
from label_maps import CLASSES, batch

from pspnet.evaluation.metrics import SegmentationMetrics
from pspnet.ops.sync_batchnorm import share_buffers


def fed(case: str, *, rank: int | None = None) -> SegmentationMetrics:
    """A metric that saw the batches of one process of two, or all of them."""
    metric = SegmentationMetrics(CLASSES)
    for seed in range(5):
        preds, target, weight = batch(seed)
        owner = 0 if case == "one process without data" else seed % 2
        if rank in (None, owner):
            metric.update(preds, target, None if case == "plain" else weight)
    return metric


CASES = ("plain", "weighted", "one process without data")


def in_process(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=180),
    )
    try:
        results = {}
        for case in CASES:
            metric = fed(case, rank=rank)
            local = metric.confmat.clone()
            results[case] = metric.compute(), metric.total()
            assert torch.equal(metric.confmat, local)  # the process keeps its own counts
        norm = torch.nn.BatchNorm2d(2)
        norm.running_mean.fill_(rank + 5)
        share_buffers(norm)
        torch.save({**results, "buffer": norm.running_mean}, f"{folder}/{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")  # of the process without data
def test_two_processes_agree_with_one_exactly(tmp_path):
    # this process is the second one, because importing torchmetrics takes seconds
    other = torch.multiprocessing.spawn(in_process, (str(tmp_path),), nprocs=1, join=False)
    in_process(1, str(tmp_path))
    other.join()
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt")
        assert results["buffer"].tolist() == [5, 5]  # those of the first process
        for case in CASES:
            miou, total = results[case]
            whole = fed(case)
            assert torch.equal(miou, whole.compute()), case
            assert torch.equal(total, whole.total()), case
            assert total.dtype == whole.total().dtype, case
