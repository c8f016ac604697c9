"""The Hugging Face Hub, which is not waited for where there is no network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies


@contextmanager
def hub() -> Iterator[None]:
    """Let the hub's client use its cache alone in this context if the hub's host has no address.

    It would ask for a minute, in a dozen lines, before it takes the file that it has, or refuses.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _has_address(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _has_address(endpoint: str) -> bool:
    """Return whether a URL's host is known; that is a proxy's to know where there is one."""
    if getproxies():
        return True
    try:
        return bool(socket.getaddrinfo(urlsplit(endpoint).hostname, None))
    except OSError:
        return False
