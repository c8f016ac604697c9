"""Activations that a backward pass makes anew: those between a normalisation and a convolution.

A convolution, its normalisation and the ReLU behind it keep two maps for the backward pass, the
convolution's output and the ReLU's. The second follows from the first by a few operations a value,
so it need not be kept: in a ResNet that is a sixth of what a training holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.models.pyramid import BatchNorm2d


class Recomputation:
    """Forgets what in-place ReLUs make of a normalisation's output, and makes it anew.

    Gradients are the same to the last bit: the same operations run on the same values. Batch
    statistics that processes share (`SyncBatchNorm`) are not made anew, and what they feed is kept.

    Args:
        network: whose `nn.BatchNorm2d` and in-place `nn.ReLU` are watched from now on.
    """

    def __init__(self, network: nn.Module) -> None:
        self._active = False
        self._normed: _Normed | None = None  # the last normalisation's
        self._made: _Normed | None = None  # the last that a ReLU was applied to
        for module in network.modules():
            if type(module) in (nn.BatchNorm2d, BatchNorm2d):
                module.register_forward_hook(self._after_norm)
            elif type(module) is nn.ReLU and module.inplace:
                module.register_forward_pre_hook(self._before_relu)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """While it lasts, forward passes forget; their backward passes may come later."""
        self._active = True
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack):
                yield
        finally:
            self._active, self._normed, self._made = False, None, None

    def _after_norm(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if self._active and module.training:
            assert isinstance(module, nn.BatchNorm2d)
            self._normed = _Normed(module, inputs[0], output)

    def _before_relu(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        normed, self._normed = self._normed, None
        # not what a residual was added to
        if normed is not None and inputs[0] is normed.output and not normed.changed():
            self._made = normed

    def _pack(self, tensor: Tensor) -> Any:
        return self._made.recipe() if self._made is not None and self._made.is_(tensor) else tensor


class _Normed:
    """A normalisation's output, which keeps its memory from others until the next one replaces it.

    Args:
        norm: in training mode.
        source: what it was applied to.
        output: what it gave.
    """

    def __init__(self, norm: nn.BatchNorm2d, source: Tensor, output: Tensor) -> None:
        self.output, self._version = output, output._version
        self._recipe = _Recipe(norm, source)

    def changed(self) -> bool:
        """Whether something wrote over it."""
        return self.output._version != self._version

    def is_(self, tensor: Tensor) -> bool:
        """Whether a tensor is this output after the ReLU, and nothing else since."""
        return (
            tensor.data_ptr() == self.output.data_ptr()
            and tensor.shape == self.output.shape
            and tensor._version == self._version + 1
        )

    def recipe(self) -> _Recipe:
        """Of one of those that would keep it."""
        self._recipe.uses += 1
        return self._recipe


class _Recipe:
    """How to make a ReLU's output anew, for as many uses as it was packed for."""

    def __init__(self, norm: nn.BatchNorm2d, source: Tensor) -> None:
        self.source = source.detach()
        self.weight = None if norm.weight is None else norm.weight.detach()
        self.bias = None if norm.bias is None else norm.bias.detach()
        self.eps = norm.eps
        self.uses = 0
        self.value: Tensor | None = None

    def make(self) -> Tensor:
        value = self.value
        if value is None:
            with torch.no_grad():
                value = F.batch_norm(
                    self.source, None, None, self.weight, self.bias, training=True, eps=self.eps
                ).relu_()
        self.uses -= 1
        self.value = value if self.uses > 0 else None
        return value


def _unpack(kept: Any) -> Tensor:
    return kept.make() if isinstance(kept, _Recipe) else kept
