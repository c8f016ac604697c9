"""Files of a run: what can be resumed, and joined metrics."""

import csv
from pathlib import Path

import torch

from pspnet.tools.ablation.__main__ import join_logs
from pspnet.tools.ablation.run_files import (
    join_metrics,
    read_run,
    resumable_checkpoint,
    write_failure,
)


def test_states_of_a_folder(tmp_path):
    folder = tmp_path / "seed_0"
    assert read_run(folder).state == "not run"
    folder.mkdir()
    assert read_run(folder).state == "unfinished"
    write_failure(folder, "loss is nan")
    assert (read_run(folder).state, read_run(folder).reason) == ("failed", "loss is nan")
    (folder / "results.json").write_text('{"miou": null}')
    assert read_run(folder).state == "finished"
    (folder / "results.json").write_text('{"mio')
    assert read_run(folder).state == "failed"


def test_a_torn_checkpoint_cannot_be_resumed(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    assert resumable_checkpoint(tmp_path) is None
    torch.save({"state_dict": {"w": torch.zeros(1000)}}, path)
    assert resumable_checkpoint(tmp_path) == path
    content = path.read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:length])
        assert resumable_checkpoint(tmp_path) is None
    path.write_bytes(content.replace(bytes(64), b"damaged!" * 8, 1))
    assert resumable_checkpoint(tmp_path) is None


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_repeated_steps_keep_their_later_rows(tmp_path):
    (tmp_path / "metrics.before_1.csv").write_text("step,loss\n0,a\n9,b\n10,lost\n")
    (tmp_path / "metrics.before_2.csv").write_text("step,loss\n10,c\n19,d\n20,lost\n")
    (tmp_path / "metrics.csv").write_text("step,loss\n20,e\n29,nan\n")
    assert join_metrics(tmp_path)
    rows = read_csv(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == ["0", "9", "10", "19", "20", "29"]
    assert [row["loss"] for row in rows] == ["a", "b", "c", "d", "e", "nan"]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
    assert not join_metrics(tmp_path)


def test_joined_metrics_have_every_column_and_no_line_that_was_cut(tmp_path):
    (tmp_path / "metrics.before_1.csv").write_text("step,old\n0,a\n5,b\n7,c\n1")
    (tmp_path / "metrics.before_2.csv").write_text("")
    (tmp_path / "metrics.csv").write_text("new,step\ne,7\nf,9\n")
    assert join_metrics(tmp_path)
    assert (tmp_path / "metrics.csv").read_text().split() == [
        *("new,old,step", ",a,0", ",b,5", "e,,7", "f,,9"),
    ]
    (tmp_path / "metrics.before_3.csv").write_text("step\n")  # nothing was logged after it
    (tmp_path / "metrics.csv").rename(tmp_path / "metrics.before_2.csv")
    assert join_metrics(tmp_path)
    assert len(read_csv(tmp_path / "metrics.csv")) == 4


def test_joined_metrics_are_drawn_again(tmp_path):
    (tmp_path / "metrics.before_1.csv").write_text("step,train/loss\n0,1\n5,0.5\n")
    (tmp_path / "metrics.csv").write_text("step,train/loss\n9,0.2\n")
    join_logs(tmp_path)
    assert (tmp_path / "curves.png").stat().st_size > 1000
