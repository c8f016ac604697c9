"""A number that a device computes, read by the host without waiting for later work."""

from __future__ import annotations

import torch
from torch import Tensor


class Arriving:
    """Copies a number to the host as soon as the device has computed it.

    `Tensor.item` waits until the device has done all that was launched before the call; `item` here
    waits for what was launched before the construction.

    Args:
        value: 0-dim.
    """

    def __init__(self, value: Tensor) -> None:
        self._event = None
        self._host = value.detach()
        if value.device.type == "cuda":
            self._host = torch.empty_like(self._host, device="cpu", pin_memory=True)
            self._host.copy_(value.detach(), non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    @property
    def is_late(self) -> bool:
        """True while the host would have to wait."""
        return self._event is not None and not self._event.query()  # type: ignore[no-untyped-call]

    def item(self) -> float:
        """Return the number."""
        if self._event is not None:
            self._event.synchronize()
        return self._host.item()
