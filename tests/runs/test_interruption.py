"""Signals are kept until a step is saved, or end the process at once; none is lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from pspnet.errors import UserError
from pspnet.runs.interruption import ANSWER, Signals
from pspnet.runs.processes import Processes


def status(signals: Signals, work: Callable[[], object]) -> object:
    """The status that work ends with while the signals are taken."""
    with pytest.raises(SystemExit) as stopped, signals.taken():
        work()
    return stopped.value.code


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)]
)
def test_a_signal_ends_the_process_with_its_status_and_one_line(
    number, expected, capsys, monkeypatch
):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    before, signals, done = signal.getsignal(number), Signals(), []
    signals.remedy = "; resume"

    def work() -> None:
        os.kill(os.getpid(), number)
        done.append("more")

    assert status(signals, work) == expected
    assert not done
    assert capsys.readouterr().err == f"\nstopped by {number.name}; resume\n"
    assert signal.getsignal(number) is before


def test_a_training_finishes_its_step_first():
    signals, done = Signals(), []

    def work() -> None:
        signals.waits = True
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        signals.check()
        done.append(signals.received)
        signals.waits = False
        signals.check()

    assert status(signals, work) == 143
    assert done == [signal.SIGTERM]


def kept(signals: Signals) -> None:
    """Take a signal as a training does, and wait until it may be answered."""
    signals.waits = True
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    signals._answered.wait(0.5)


def test_the_first_signal_is_answered_once_and_by_the_first_process(capsys, monkeypatch):
    for rank, expected in ((0, f"{ANSWER}\n"), (1, "")):
        monkeypatch.setattr("pspnet.runs.interruption.rank_zero_only.rank", rank)
        signals = Signals()
        with signals.taken():
            kept(signals)
        assert capsys.readouterr().err == expected


def test_a_signal_is_answered_while_its_own_thread_holds_stderr(monkeypatch):
    lock, said = threading.Lock(), []

    def write(text: str) -> None:
        with lock:
            said.append(text)

    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=write, flush=lambda: None))
    signals = Signals()
    with signals.taken():
        with lock:
            kept(signals)
            assert not said
        assert signals._answered.wait(5)
    assert said == [f"{ANSWER}\n"]


def test_a_second_ctrl_c_does_not_wait(monkeypatch):
    monkeypatch.setattr("pspnet.runs.interruption.TWICE", 0.1)
    child = os.fork()
    if child == 0:
        signals = Signals()
        with signals.taken():
            signals.waits = True
            time.sleep(60)
        os._exit(0)
    time.sleep(0.5)
    os.kill(child, signal.SIGINT)
    time.sleep(0.5)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGINT


def watching(*processes: subprocess.Popen) -> Processes:
    own = Processes()
    own._trainer = SimpleNamespace(
        strategy=SimpleNamespace(launcher=SimpleNamespace(procs=processes))
    )
    return own


def test_a_killed_process_is_named_in_place_of_the_error_that_follows():
    other = subprocess.Popen(["sleep", "60"])
    signals = Signals()
    signals.processes, signals.remedy = watching(other), "; resume"
    other.kill()
    with pytest.raises(UserError, match="process 1 was killed by SIGKILL; resume"), signals.taken():
        torch.distributed.barrier()  # an error of torch's
    with pytest.raises(ZeroDivisionError), signals.taken():
        raise ZeroDivisionError("a researcher's own bug")


def test_none_outlives_the_first():
    other = subprocess.Popen(["sleep", "60"])
    signals = Signals()
    signals.processes = watching(other)
    assert status(signals, lambda: os.kill(os.getpid(), signal.SIGTERM)) == 143
    assert other.returncode == -signal.SIGKILL


def test_the_first_waits_for_the_others_and_fails_if_one_does():
    for seconds, code in (("0.3", 0), ("0.1", 3)):
        other = subprocess.Popen(["sh", "-c", f"sleep {seconds}; exit {code}"])
        signals = Signals()
        signals.processes = watching(other)
        if code:
            with pytest.raises(UserError, match="process 1 ended with status 3"), signals.taken():
                pass
        else:
            with signals.taken():
                pass
        assert other.returncode == code


def test_a_signal_of_a_forked_process_is_not_answered(capsys):
    signals = Signals()
    with signals.taken():
        signals.waits = True
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
        os.kill(child, signal.SIGTERM)  # as a loader ends its processes
        assert not signals._answered.wait(0.5)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert capsys.readouterr().err == ""


def test_a_signal_is_answered_before_its_handler_can_run(monkeypatch):
    """The handler waits for the end of a call that holds the main thread, as a backward pass."""
    said: list[float] = []
    stderr = SimpleNamespace(write=lambda text: said.append(time.monotonic()), flush=lambda: None)
    monkeypatch.setattr(sys, "stderr", stderr)
    signals = Signals()
    with signals.taken():
        signals.waits = True
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.1; kill -TERM {os.getpid()}"])
        torch.linalg.eigvals(torch.rand(1000, 1000, dtype=torch.float64))  # one call
        end = time.monotonic()
        killer.wait()
        signals._answered.wait(5)
    assert said
    assert said[0] < end
