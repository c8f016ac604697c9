"""Forms in which this package's network runs: precisions, memory formats, compiled, a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.backends import cuda, cudnn

from benchmarks import ours
from benchmarks.compare import Comparison, Variant
from benchmarks.plan import Case, Plan
from benchmarks.sections.networks import training_step
from benchmarks.timing import Call
from pspnet.ops.memory_format import set_format


@dataclass(frozen=True)
class Form:
    """One way to run a network.

    Args:
        name: name in the report.
        dtype: type of its products; None is the case's.
        memory_format: layout of weights and images.
        compile: mode of `torch.compile`; None runs the network as it is.
        tf32: whether a GPU may round float32 products to TF32; None leaves it as a training does.
    """

    name: str
    dtype: torch.dtype | None = None
    memory_format: torch.memory_format = torch.channels_last
    compile: str | None = None
    tf32: bool | None = None


def comparisons(plan: Plan) -> Iterator[Comparison]:
    """Yield the first training step and the first forward pass in each form."""
    training, inference = plan.cases("training step")[0], plan.cases("inference")[0]
    for case in (training, inference):
        found = [
            Variant(form.name, partial(build, case, form), form.dtype or case.dtype)
            for form in forms(case)
        ]
        yield Comparison(f"forms of a {case.task}", str(case), found, images=case.batch)


def forms(case: Case) -> list[Form]:
    """Return the forms that the case's device has, its default one first."""
    on_gpu = torch.device(case.device).type == "cuda"
    found = [Form("ours"), Form("channels first", memory_format=torch.contiguous_format)]
    if on_gpu:
        found += [
            Form("float32, TF32", torch.float32, tf32=True),
            Form("float32", torch.float32, tf32=False),
        ]
    elif case.dtype != torch.float32:
        found.append(Form("float32", torch.float32))
    found.append(Form("compiled", compile="default"))
    if on_gpu and case.task == "inference":
        found.append(Form("compiled, CUDA graph", compile="reduce-overhead"))
    return found


def build(case: Case, form: Form) -> Call:
    """Return a training step or a forward pass in a form."""
    case = replace(case, dtype=form.dtype or case.dtype)
    network = case.network()
    if case.task == "inference":
        network = ours.for_inference(network)
    set_format(network, form.memory_format)
    if form.compile:
        network.compile(mode=form.compile)
    image, label = case.images().contiguous(memory_format=form.memory_format), case.labels()
    call: Callable[[], object]
    if case.task == "inference":

        def call() -> object:
            with torch.no_grad(), case.autocast():
                return ours.class_map(network, image)
    else:
        call = partial(training_step(case, network), image, label)

    def with_flags() -> object:
        with nullcontext() if form.tf32 is None else _tf32(form.tf32):
            return call()

    return with_flags


class _tf32:
    """Allow or forbid TF32 in products and convolutions."""

    def __init__(self, allowed: bool) -> None:
        self._wanted = allowed, allowed

    def _swap(self, *_: object) -> None:
        before = cuda.matmul.allow_tf32, cudnn.allow_tf32
        cuda.matmul.allow_tf32, cudnn.allow_tf32 = self._wanted
        self._wanted = before

    __enter__ = __exit__ = _swap
