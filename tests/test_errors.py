"""One line for what a user can mend, a full disk and lost loading processes; nothing else."""

import errno
import os
import signal
from pathlib import Path

import pytest
from full_disk import full_from
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset

from pspnet.errors import NotWritten, one_line_errors, user_message
from pspnet.files.writing import atomic, make_folder, optional, write_atomic, writing


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"), (errno.EROFS, "can be written")],
)
def test_a_refusal_names_file_reason_and_remedy(number, remedy, tmp_path):
    with pytest.raises(NotWritten) as error, writing(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert str(error.value).startswith(f"{tmp_path / 'a'} cannot be written ({os.strerror(number)}")
    assert remedy in str(error.value)


def test_a_full_disk_leaves_the_earlier_file_and_no_draft(tmp_path):
    path = tmp_path / ("a" * 251 + ".bin")  # as long as file systems take
    write_atomic(path, b"before")
    with full_from(path.name), pytest.raises(NotWritten, match="too large"):
        write_atomic(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_gone_or_a_file_gets_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "gone" / "a", tmp_path / "file" / "a"):
        with pytest.raises(NotWritten, match=f"{path} cannot be written"):
            write_atomic(path, b"")
    with pytest.raises(NotWritten, match="name a folder that can be written"):
        make_folder(tmp_path / "file" / "new")
    with pytest.raises(KeyError), atomic(tmp_path / "a"):  # a bug keeps its name
        raise KeyError


def test_an_optional_output_is_left_out_in_one_line(tmp_path, capsys):
    with optional("a.png"):
        write_atomic(tmp_path / "gone" / "a.png", b"")
    with optional("a.png"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"warning: {tmp_path}/gone/a.png cannot be written (No such file")
    assert second.startswith("warning: a.png cannot be written (No space left on device)")
    with pytest.raises(KeyError), optional("a.png"):
        raise KeyError


def test_a_full_disk_is_nobodys_bug_and_a_missing_file_is(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.bin")
    assert capsys.readouterr().err.startswith("error: x.bin cannot be written (No space left")
    with pytest.raises(FileNotFoundError), one_line_errors():
        Path("nowhere", "x").read_text()


class Killed(Dataset):
    """Items whose loading process is killed."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_loading_process_that_is_killed_gets_one_line():
    with pytest.raises(RuntimeError) as error:
        next(iter(DataLoader(Killed(), num_workers=1)))
    assert "lower data.workers" in user_message(error.value)


def _new_shared():  # the name of torch's function that allocates a tensor to send
    raise RuntimeError("unable to write to file </torch_1_2_0>: No space left on device (28)")


def bug():
    raise RuntimeError("No space left in a data set of the user's own")


@pytest.mark.parametrize(("end", "line"), [(_new_shared, "data.workers=0, or"), (bug, None)])
def test_errors_of_loading_processes_are_told_from_bugs(end, line):
    try:
        end()
    except RuntimeError:
        sent = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(RuntimeError) as error:
        sent.reraise()
    said = user_message(error.value)
    assert said is None if line is None else line in said


def test_a_bug_with_the_words_of_a_lost_process_keeps_its_traceback():
    assert user_message(RuntimeError("DataLoader worker (pid 1) is killed by signal")) is None


def test_a_loading_process_whose_end_is_seen_first_gets_one_line():
    """As torch raises it where it misses the process before the process's signal arrives."""
    text = 'raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")'
    with pytest.raises(RuntimeError) as error:
        exec(text, {"__name__": "torch.utils.data.dataloader"})
    assert "lower data.workers" in user_message(error.value)
