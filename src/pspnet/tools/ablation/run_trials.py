"""Runs of a sweep side by side through Ray, on the GPUs or cores of this machine or a cluster.

On a cluster the working folder, the environment and the logs have to be the same files for every
machine, as they are on a shared file system. Ray ends a run's process when the process that started
it ends, in whatever way.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol

from pspnet.errors import UserError
from pspnet.tools.ablation.run_files import read_run, resuming_command
from pspnet.tools.ablation.run_lock import in_use, lock
from pspnet.tools.ablation.sweep import Run

ATTEMPTS = 2
LENGTH = 300  # characters of a reason
ERROR = re.compile(r"error: |[\w.]+(Error|Exception)(: |$)")
STORE = 100 * 2**20  # bytes of Ray's memory for objects, which stays empty


class Progress(Protocol):
    """Receiver of what happens to the runs."""

    def start(self, run: Run) -> None:
        """Take note of a run that starts."""

    def wait(self, run: Run) -> None:
        """Take note of a run that another process is at."""

    def end(self, run: Run, *, seconds: float, reason: str) -> None:
        """Take note of a run that has ended; `reason` says why it failed, if it did."""


def run_trials(
    runs: Sequence[Run],
    progress: Progress,
    *,
    address: str | None,
    cpus: float | None,
    gpus: float | None,
    wanted: Callable[[Run], bool] = lambda _: True,
) -> None:
    """Start runs as cores and GPUs become free, until all have ended.

    Args:
        runs: the runs in the order of their starts.
        progress: is told of each start and end.
        address: HOST:PORT of a Ray cluster's head; None is this machine.
        cpus: cores per run; None is 1, and with GPUs a run's share of the cores.
        gpus: GPUs per run, or a fraction of one; None is 1 where there are any, and otherwise 0.
        wanted: is asked before a run starts; what it refuses does not run.

    Raises:
        UserError: if Ray is not installed, no cluster answers at `address`, or no machine has as
            much as a run needs.
    """
    with _ray(address):
        import ray

        nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]  # type: ignore[no-untyped-call]
        cpus, gpus = share(nodes, cpus=cpus, gpus=gpus)
        remote: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=1)
        trial = remote(train)
        at_once = sum(_fitting(node, cpus=cpus, gpus=gpus) for node in nodes)
        waiting = deque(runs)
        running: dict[Any, tuple[Run, float]] = {}
        shared: set[Path] = set()  # with another sweep or agent, which is at them
        while waiting or running:
            while waiting and len(running) < at_once:
                run = waiting.popleft()
                if not wanted(run):
                    continue
                if run.folder not in shared:
                    progress.start(run)
                job = trial.remote(run.command, Path.cwd() / run.folder, cwd=Path.cwd(), gpus=gpus)
                running[job] = run, time.monotonic()
            if not running:  # none of the last runs was wanted
                break
            (job, *_), _ = ray.wait([*running])
            run, start = running.pop(job)
            reason = _result(job)
            if reason == in_use(Path.cwd() / run.folder):  # its results are awaited, after all else
                if run.folder not in shared:
                    progress.wait(run)
                shared.add(run.folder)
                waiting.append(run)
            else:
                progress.end(run, seconds=time.monotonic() - start, reason=reason)


def _result(job: Any) -> str:
    """Return what `train` returned, or the reason that it did not."""
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    try:
        return str(ray.get(job))
    except (NodeDiedError, OutOfMemoryError, WorkerCrashedError):
        return "Ray lost the process that started it, as when memory runs out"


def train(command: Sequence[str], folder: Path, *, cwd: Path, gpus: float) -> str:
    """Run a fit until its folder holds results; return why it failed, or nothing.

    Each of two attempts resumes from last.ckpt if there is one. All output is added to run.log.

    Args:
        command: the words of a fit that leaves its results in `folder`.
        folder: the run's folder.
        cwd: the folder that relative paths of the command start from.
        gpus: if 0, GPUs are hidden; otherwise the environment names those of the run.
    """
    try:
        return _train(command, folder, cwd=cwd, gpus=gpus)
    except OSError as error:
        return f"{error.filename or folder} cannot be written ({error.strerror})"


def _train(command: Sequence[str], folder: Path, *, cwd: Path, gpus: float) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **({} if gpus else {"CUDA_VISIBLE_DEVICES": ""})}
    with (folder / "run.log").open("ab") as log:
        if not lock(log, folder):
            return in_use(folder)
        reason = ""
        for _ in range(ATTEMPTS):
            if read_run(folder).state == "finished":
                break
            reason = _attempt(command, folder, log, cwd=cwd, environment=environment)
        return "" if read_run(folder).state == "finished" else reason


def _attempt(
    command: Sequence[str], folder: Path, log: IO[bytes], *, cwd: Path, environment: dict[str, str]
) -> str:
    """Start or resume a fit, and return how it ended."""
    words = resuming_command(command, folder)
    if words == [*command]:
        _move_aside(folder)
    (folder / "failed.json").unlink(missing_ok=True)
    log.write(f"$ {shlex.join(words)}\n".encode())
    log.flush()
    start = log.tell()
    code = subprocess.call(
        words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd, env=environment
    )
    return _reason(code, Path(log.name), start=start)


def share(
    nodes: Sequence[Mapping[str, float]], *, cpus: float | None, gpus: float | None
) -> tuple[float, float]:
    """Return the cores and GPUs of a run.

    Args:
        nodes: CPU and GPU of each machine.
        cpus: cores asked for; None is 1, and with GPUs the cores that come with a run's GPUs.
        gpus: GPUs asked for; None is 1 where there are any.

    Raises:
        UserError: if no machine has that many, or no core is asked for.
    """
    if cpus == 0:
        raise UserError("cpus=0 per run: give more than 0")
    pairs = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
    if gpus is None:
        gpus = float(any(most for _, most in pairs))
    fitting = [pair for pair in pairs if pair[1] >= gpus]
    if cpus is None:
        shares = [int(cores * gpus / most) for cores, most in fitting if gpus]
        cpus = max(1, min(shares, default=1))
    if not any(cores >= cpus for cores, _ in fitting):
        offers = " or ".join(f"{cores:g} and {most:g}" for cores, most in sorted(set(pairs)))
        raise UserError(f"cpus={cpus:g}, gpus={gpus:g} per run: the machines have {offers}")
    return cpus, gpus


def _fitting(node: Mapping[str, float], *, cpus: float, gpus: float) -> int:
    """Return how many runs a machine takes at once."""
    by_cpu = int(node.get("CPU", 0.0) / cpus)
    return min(by_cpu, int(node.get("GPU", 0.0) / gpus)) if gpus else by_cpu


@contextmanager
def _ray(address: str | None) -> Iterator[None]:
    """Start Ray for this process alone, without reports to its makers, or join a cluster."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # listens on loopback alone
    else:
        _check_address(address)
    try:
        import ray
    except ModuleNotFoundError as error:
        remedy = "pip install 'pspnet[ablation]', or run the commands of `list` by hand"
        raise UserError(f"ray is not installed: {remedy}") from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    # the path is short because a socket's path has at most 107 bytes
    with TemporaryDirectory(prefix="pspnet-", dir="/tmp", ignore_cleanup_errors=True) as files:
        own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE}
        own["_temp_dir"] = files
        try:
            ray.init(address or "local", **quiet, **({} if address else own))
            yield
        finally:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse an address that nothing answers at; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"address={address}: give HOST:PORT of a cluster's head")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        remedy = "start a cluster with `ray start --head`, or leave it out"
        raise UserError(f"address={address}: no Ray answers there; {remedy}") from error


def _move_aside(folder: Path) -> None:
    """Move what an attempt without a checkpoint left into before_N, except run.log."""
    earlier = [*folder.glob("before_*")]
    left = {*folder.iterdir()} - {*earlier, folder / "run.log", folder / ".lock"}
    aside = folder / f"before_{len(earlier) + 1}"
    for path in left:
        aside.mkdir(exist_ok=True)
        path.rename(aside / path.name)


def _reason(code: int, log: Path, *, start: int) -> str:
    """Return why an attempt failed, from its exit code and its part of the log."""
    if code < 0:
        hint = ", as when memory runs out" if code == -signal.SIGKILL else ""
        return f"ended by {signal.Signals(-code).name}{hint}"
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    errors = [line for line in lines if ERROR.match(line)] or [line for line in lines if line]
    said = (errors or ["no output"])[-1].removeprefix("error: ")[:LENGTH]
    return said if code else f"ended without results.json: {said}"
