"""Runs of a sweep side by side through Ray Tune, on the machine's own GPUs or cores or a cluster's.

On a cluster the folder that the sweep is started in, its environment and its logs have to be the
same files for every machine, as usual with a shared file system.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet.errors import UserError
from pspnet.tools.ablation import folder as folders
from pspnet.tools.ablation import runner
from pspnet.tools.ablation.sweep import Run

if TYPE_CHECKING:  # Ray reads its environment when it is imported
    from ray import tune
    from ray.tune.experiment import Trial

Start = Callable[[Run], None]
End = Callable[[Run, runner.Outcome], None]
NO_RAY = "ray is not installed: make setup, or run the commands of `list` by hand"
STORE = 100 * 2**20  # bytes of Ray's memory for objects, of which there are none


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps a sweep's folder from being run twice at once.

    Raises:
        ValueError: if it is being run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise UserError(f"{folder} is being run by {lock.read()}; wait, or end it") from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        yield


def launch(
    runs: Sequence[Run],
    folder: Path,
    *,
    address: str | None,
    cpus: float | None,
    gpus: float | None,
    start: Start,
    end: End,
) -> None:
    """Starts runs as cores and GPUs become free, until all have ended.

    Args:
        runs: those to start, in order.
        folder: of the sweep, for Tune's own files while it lasts.
        address: of a Ray cluster's head, HOST:PORT; None is this machine.
        cpus: cores a run; None is 1, and with GPUs a run's share of them.
        gpus: GPUs or a fraction of one a run; None is 1 where there are any, else 0.
        start: called with each run as it starts.
        end: called with each run that has ended, and how.

    Raises:
        OSError: without Ray, or a cluster that answers at `address`.
        ValueError: if no machine has as much as a run needs.
    """
    with _ray(folder, address=address):
        import ray
        from ray import tune

        nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]  # type: ignore[no-untyped-call]
        cpus, gpus = share(nodes, cpus=cpus, gpus=gpus)
        for module in (folders, runner):
            ray.cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
        tune.Tuner(
            tune.with_resources(_trial(runs, cpus=cpus, gpus=gpus), {"cpu": cpus, "gpu": gpus}),
            param_space={"run": tune.grid_search([*range(len(runs))])},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(_storage(folder)),
                verbose=0,
                callbacks=[_progress(runs, start=start, end=end)],
                failure_config=tune.FailureConfig(max_failures=1),
            ),
        ).fit()


def _trial(
    runs: Sequence[Run], *, cpus: float, gpus: float
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What Ray's processes do, of plain data and modules that go by value."""
    jobs, cwd, execute = [(run.command, run.folder) for run in runs], Path.cwd(), runner.execute

    def trial(config: dict[str, Any]) -> dict[str, Any]:
        command, folder = jobs[config["run"]]
        return {"outcome": asdict(execute(command, folder, cwd=cwd, cpus=cpus, gpus=gpus))}

    return trial


def _progress(runs: Sequence[Run], *, start: Start, end: End) -> tune.Callback:
    """Tells of each run as Tune tells of its trial."""
    from ray import tune

    class Progress(tune.Callback):
        def on_trial_start(
            self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
        ) -> None:
            start(runs[trial.config["run"]])

        def on_trial_complete(
            self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
        ) -> None:
            end(runs[trial.config["run"]], runner.Outcome(**trial.last_result["outcome"]))

        def on_trial_error(
            self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
        ) -> None:
            run = runs[trial.config["run"]]
            reason = "Ray lost the process that watched it, twice, as when memory runs out"
            folders.write_failure(run.folder, reason, attempts=2)
            end(run, runner.Outcome("failed", seconds=0, reason=reason))

    return Progress()


def share(
    nodes: Sequence[Mapping[str, float]], *, cpus: float | None, gpus: float | None
) -> tuple[float, float]:
    """Cores and GPUs of a run.

    Args:
        nodes: CPU and GPU of each machine.
        cpus: what is asked for; None is 1, and with GPUs the cores that come on a run's.
        gpus: what is asked for; None is 1 where there are any.

    Raises:
        ValueError: if no machine has that many, or no core is asked for.
    """
    if cpus == 0:
        raise UserError("cpus=0 a run: give more than 0")
    pairs = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
    if gpus is None:
        gpus = float(any(most for _, most in pairs))
    fitting = [pair for pair in pairs if pair[1] >= gpus]
    if cpus is None:
        shares = [int(cores * gpus / most) for cores, most in fitting if gpus]
        cpus = max(1, min(shares, default=1))
    if not any(cores >= cpus for cores, _ in fitting):
        offers = " or ".join(f"{cores:g} and {most:g}" for cores, most in sorted(set(pairs)))
        raise UserError(f"cpus={cpus:g}, gpus={gpus:g} a run: the machines have {offers}")
    return cpus, gpus


@contextmanager
def _ray(folder: Path, *, address: str | None) -> Iterator[None]:
    """Ray, silent and by itself: no reports to its makers, no dashboard, no files that stay."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    files = Path(f"/tmp/pspnet-{os.getuid()}-{digest}")  # short: a socket's path has 107 bytes
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # tables
    os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"  # stack traces for being ended
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C ends it, as any program
    if address is None:
        os.environ["RAY_TMPDIR"] = str(files)
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # listens on loopback alone
    else:
        _knock(address)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UserError(NO_RAY) from error
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are told by `end`
    shutil.rmtree(files, ignore_errors=True)  # of a start that was killed
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE}
    try:
        try:
            ray.init(address or "local", **quiet, **({} if address else own))
        except (RuntimeError, UserError) as error:
            reason = str(error).partition("\n")[0]
            hint = "; if the cluster wants a token, set RAY_AUTH_MODE=token" if address else ""
            raise UserError(f"Ray does not start: {reason}{hint}") from error
        yield
    finally:
        ray.shutdown()
        for path in (files, _storage(folder)):
            shutil.rmtree(path, ignore_errors=True)


def _knock(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"address={address}: give HOST:PORT of a cluster's head")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        remedy = "start a cluster by `ray start --head`, or leave it out"
        raise UserError(f"address={address}: no Ray answers there; {remedy}") from error


def _storage(folder: Path) -> Path:
    return folder.resolve() / ".tune"
