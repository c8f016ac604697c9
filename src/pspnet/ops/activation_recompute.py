"""Recompute activations in the backward pass instead of keeping them.

A convolution, its normalization and the ReLU behind it keep two maps for the backward pass, the
convolution's output and the ReLU's. The second follows from the first by a few operations per
value, so it need not be kept. Nor need the output of a residual block, if what it was added to is
kept: in each stage, every second block's output is recomputed from the one before. In a ResNet-50
both are more than a fifth of what a training holds.

Whether a tensor is still what it was is read off its `_version`, torch's own count of changes in
place, as autograd does; no public name gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any
from weakref import ref

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pspnet.ops.equivalence import nearly_equal, why_not_plain

ADDITIONS = (Tensor.add_, Tensor.__iadd__)


class ActivationRecompute:
    """Drop what in-place ReLUs compute from normalizations and residual sums, and recompute it.

    Gradients are the same to the last bit: the same operations run on the same values. Batch
    statistics that processes share (`SyncBatchNorm`) are not recomputed; their outputs are kept.

    Args:
        network: whose normalizations and in-place `nn.ReLU` are watched, as they are at each step.
        norms: the exact classes that normalize like `nn.BatchNorm2d` in training mode.
    """

    def __init__(self, network: nn.Module, *, norms: tuple[type[nn.Module], ...]) -> None:
        self._network, self._norms = network, norms
        self._forget()

    def why_inactive(self) -> str | None:
        """Return why nothing of the network is recomputed, or None."""
        modules = [*self._network.modules()]
        if any(isinstance(module, nn.SyncBatchNorm) for module in modules):
            return "SyncBatchNorm shares its statistics; set trainer.sync_batchnorm=false"
        norms, relus = self._plain_modules()
        if not norms:
            return "the network has no plain batch normalization"
        if not relus:
            return "the network has no plain in-place ReLU"
        return None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Let forward passes drop activations; their backward passes may come later."""
        norms, relus = self._plain_modules()
        handles = [norm.register_forward_hook(self._after_norm) for norm in norms]
        handles += [relu.register_forward_pre_hook(self._before_relu) for relu in relus]
        try:
            with (
                torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack),
                _Additions(self._after_addition),
            ):
                yield
        finally:
            for handle in handles:
                handle.remove()
            self._forget()

    def _plain_modules(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return normalizations and ReLUs that compute what is recomputed, nothing else."""
        kinds = [k for k in self._norms if _is_batch_norm(k, k.forward.__code__)]  # type: ignore[arg-type]
        norms: list[nn.Module] = []
        relus: list[nn.Module] = []
        for module in self._network.modules():
            if type(module) in kinds and why_not_plain(module, *kinds) is None:
                norms.append(module)
            elif isinstance(module, nn.ReLU) and module.inplace:
                relus += [module] if why_not_plain(module, nn.ReLU) is None else []
        return norms, relus

    def _forget(self) -> None:
        self._normed: _Normed | None = None  # the last normalization's output
        self._kept: _State | None = None  # the last ReLU output that is kept
        self._dropped: dict[int, tuple[_State, _Recipe]] = {}  # by address

    def _after_norm(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        averaged = output.numel() > output.shape[1]  # else running statistics were used
        if module.training and averaged and output.requires_grad:
            assert isinstance(module, nn.BatchNorm2d)
            self._normed = _Normed(module, inputs[0], output)

    def _after_addition(self, total: Tensor, other: Tensor) -> None:
        """Note what a normalization's output was added to in place."""
        normed = self._normed
        if normed is not None and total is normed.output and normed.added is None:
            normed.added = other

    def _before_relu(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        x, normed, self._normed = inputs[0], self._normed, None
        after = _State(x, version=x._version + 1)
        if normed is None or x is not normed.output:
            self._kept = after  # by the ReLU itself
        elif x._version == normed.version:
            self._dropped[x.data_ptr()] = after, _Recipe(normed.norm, normed.source)
        elif x._version == normed.version + 1 and self._is_kept(normed.added):
            recipe = _Recipe(normed.norm, normed.source, normed.added)
            # not `self._kept`: what is recomputed from this one would take two recomputations
            self._dropped[x.data_ptr()] = after, recipe
        else:
            self._kept = after

    def _is_kept(self, tensor: Tensor | None) -> bool:
        return tensor is not None and self._kept is not None and self._kept.is_(tensor)

    def _pack(self, tensor: Tensor) -> Tensor | _Recipe:
        state, recipe = self._dropped.get(tensor.data_ptr(), (None, None))
        if state is None or recipe is None or not state.is_(tensor):
            return tensor
        recipe.uses += 1
        return recipe


@lru_cache(maxsize=16)
def _is_batch_norm(kind: type[nn.Module], lines: CodeType) -> bool:
    """Compare a class's forward in training mode with `F.batch_norm`, once per version of it.

    Args:
        kind: takes the number of channels.
        lines: of its forward, as the key of the cache.
    """
    with torch.device("cpu"), torch.inference_mode(False), torch.no_grad():
        norm = kind(3, eps=1e-5).train()
        x = torch.sin(torch.arange(2 * 3 * 4 * 5.0)).view(2, 3, 4, 5)
        expected = F.batch_norm(x, None, None, training=True, eps=1e-5)
        return nearly_equal(norm(x), expected)


class _Additions(TorchFunctionMode):
    """Report each tensor that another was added to in place."""

    def __init__(self, after: Callable[[Tensor, Tensor], None]) -> None:
        super().__init__()
        self._after = after

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in ADDITIONS and not kwargs and isinstance(args[1], Tensor):
            self._after(*args)
        return result


class _Normed:
    """A normalization's output, until the next one replaces it."""

    def __init__(self, norm: nn.BatchNorm2d, source: Tensor, output: Tensor) -> None:
        self.norm, self.source, self.output = norm, source, output
        self.version = output._version
        self.added: Tensor | None = None


class _State:
    """A tensor as it is after a number of changes in place, without a reference to it."""

    def __init__(self, tensor: Tensor, *, version: int) -> None:
        self._tensor, self._address = ref(tensor), tensor.data_ptr()
        self._layout, self._version = (tensor.shape, tensor.stride()), version

    def is_(self, tensor: Tensor) -> bool:
        """Return whether a tensor, or another view of its memory, is this one in this state."""
        return (
            self._tensor() is not None  # else its memory may be another's by now
            and tensor.data_ptr() == self._address
            and (tensor.shape, tensor.stride()) == self._layout
            and tensor._version == self._version
        )


class _Recipe:
    """Recompute a ReLU's output, for as many uses as it was packed for."""

    def __init__(self, norm: nn.BatchNorm2d, source: Tensor, added: Tensor | None = None) -> None:
        self.source, self.added = source.detach(), None if added is None else added.detach()
        self.weight = None if norm.weight is None else norm.weight.detach()
        self.bias = None if norm.bias is None else norm.bias.detach()
        self.eps = norm.eps
        self.uses = 0
        self.value: Tensor | None = None

    def compute(self) -> Tensor:
        value = self.value
        if value is None:
            with torch.no_grad():
                value = F.batch_norm(
                    self.source, None, None, self.weight, self.bias, training=True, eps=self.eps
                )
                if self.added is not None:
                    value += self.added
                value.relu_()
        self.uses -= 1
        self.value = value if self.uses > 0 else None
        return value


def _unpack(kept: Tensor | _Recipe) -> Tensor:
    return kept.compute() if isinstance(kept, _Recipe) else kept
