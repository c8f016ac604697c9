"""Files of a run: their states, and what can be resumed."""

import torch

from pspnet.tools.ablation.run_files import (
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
