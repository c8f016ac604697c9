"""Loading processes: one thread each, and signals that are not for them."""

from __future__ import annotations

import os
import signal
import threading

import cv2


def begin(worker: int) -> None:
    """Prepare a loading process, before its first sample.

    Terminals and schedulers signal each process of a run that they stop. The training still waits
    for batches then, to finish its step and save it; this process ends when its parent ends it, or
    is gone.
    """
    # the workers are the parallelism; OpenCV's own threads would compete for the same cores
    cv2.setNumThreads(0)
    for name in ("SIGINT", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = os.getppid()
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
