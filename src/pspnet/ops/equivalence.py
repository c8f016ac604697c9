"""Checks that a fast substitute computes what stands in the network.

A substitute bypasses modules. It may run only where these are plain, `why_not_plain`, and where a
comparison on small tensors has found both forms equal, `nearly_equal`. Copies that share their
parameters, `copy_sharing_parameters`, cost no memory.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def why_not_plain(module: nn.Module, *kinds: type[nn.Module]) -> str | None:
    """Return why `module` cannot be bypassed, None if it is one of `kinds` without hooks.

    A parametrized module (spectral norm, weight norm) has another type or hooks. Torch's global
    module hooks are not looked at: its own counters set them.
    """
    name = type(module).__name__
    if type(module) not in kinds:
        return f"{name} in place of {kinds[0].__name__}"
    if "forward" in vars(module):
        return f"{name} has a forward of its own"
    if any(getattr(module, hooks) for hooks in _HOOKS):
        return f"{name} has hooks"
    return None


def nearly_equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same shape and equal values but for rounding."""
    if one.shape != other.shape:
        return False
    scale = max(float(other.abs().max()), 1e-6)
    return bool((one - other).abs().max() <= 1e-4 * scale)


def copy_sharing_parameters(module: Module) -> Module:
    """Return a deep copy, hooks included, whose parameters and buffers are those of `module`."""
    tensors = [*module.parameters(), *module.buffers(), *_plain_tensors(module)]
    return copy.deepcopy(module, {id(kept): kept for kept in [*tensors, *_hook_owners(module)]})


def copy_without_memory(module: Module) -> Module:
    """Return a deep copy on the device "meta", on which only shapes are computed."""
    meta: dict[int, object] = {id(owner): owner for owner in _hook_owners(module)}
    for parameter in module.parameters():
        hollow = torch.empty_like(parameter, device="meta")
        meta[id(parameter)] = nn.Parameter(hollow, requires_grad=parameter.requires_grad)
    for tensor in [*module.buffers(), *_plain_tensors(module)]:
        meta[id(tensor)] = torch.empty_like(tensor, device="meta")
    return copy.deepcopy(module, meta)


def _hook_owners(module: nn.Module) -> list[object]:
    """Return the objects that hooks belong to, other than the module's own parts: callbacks, …"""
    parts = {id(part) for part in module.modules()}
    hooks = [
        hook for part in module.modules() for kind in _HOOKS for hook in vars(part)[kind].values()
    ]
    owners = [getattr(hook, "__self__", hook) for hook in hooks]
    return [owner for owner in owners if id(owner) not in parts]


def _plain_tensors(module: nn.Module) -> list[Tensor]:
    """Return tensors that are attributes alone, such as the weight of `nn.utils.spectral_norm`."""
    attributes = [value for part in module.modules() for value in vars(part).values()]
    return [value for value in attributes if isinstance(value, Tensor)]
