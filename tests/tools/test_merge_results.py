"""Results of shards add up to those of the whole evaluation, to the last bit."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import Trainer

from pspnet import PSPNet
from pspnet.callbacks.results import describe
from pspnet.callbacks.results_file import as_text
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.folder import Folder
from pspnet.evaluation.summary import summary
from pspnet.inference.protocols import Protocol
from pspnet.task import Segmentation
from pspnet.tools.score import main

NAMES = ("ground", "disc", "bar")
GROUPS = {"things": ("disc", "bar"), "ground": ("ground",)}


def written(path, counts, shard=None):
    """The file of an evaluation with this confusion matrix, as a report writes it."""
    module = SimpleNamespace(
        classes=Classes(NAMES, ((0, 0, 0), (9, 9, 9), (99, 9, 9)), GROUPS, categories=GROUPS),
        matrix=torch.from_numpy(counts),
        protocol=Protocol("whole", average="scores"),
        calibrated=None,
        by_image=None,
    )
    scores = summary(module.matrix, names=NAMES, groups=GROUPS, categories=GROUPS)
    module.scores = lambda: scores
    data = SimpleNamespace(shard=shard)
    trainer = SimpleNamespace(precision="32-true", ckpt_path="a.ckpt", callbacks=[])
    trainer.datamodule = data
    path.write_text(as_text(describe(trainer, module, split="val")))
    return path


@pytest.fixture
def parts():
    """The counts of three shards; one of the classes is not in all of them."""
    generator = np.random.default_rng(0)
    parts = [generator.integers(0, 10**9, (3, 3)) for _ in range(3)]
    parts[1][2], parts[1][:, 2] = 0, 0
    return parts


@pytest.fixture
def copies(parts, tmp_path):
    """Files of the shards, which a test may change."""
    return [
        written(tmp_path / f"{number}.json", counts, f"{number}/3")
        for number, counts in enumerate(parts, 1)
    ]


@pytest.mark.slow
@torch.no_grad()
def test_a_network_evaluated_in_shards_has_the_scores_of_the_whole(shapes, tmp_path):
    network = PSPNet(3, encoder="tu-resnet10n", bins=[1], decoder_channels=8)
    module = Segmentation(network, Folder(shapes).classes)
    for number in range(4):
        data = SegmentationData(
            Folder(shapes), crop_size=41, workers=0, shard=f"{number}/3" if number else None
        )
        options = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        trainer = Trainer(accelerator="cpu", **options)
        trainer.validate(module, data, verbose=False)
        (tmp_path / str(number)).mkdir()
        text = as_text(describe(trainer, module, split="val"))
        (tmp_path / str(number) / "results.json").write_text(text)
    merge(*(tmp_path / str(number) for number in (2, 3, 1)), f"--json={tmp_path / 'merged.json'}")
    assert (tmp_path / "merged.json").read_text() == (tmp_path / "0/results.json").read_text()


def merge(*words):
    main(["--merge", *map(str, words)])


def test_shards_add_up_to_the_whole(parts, copies, tmp_path, capsys):
    out = tmp_path / "merged.json"
    merge(*copies[::-1], f"--json={out}")
    said = capsys.readouterr().out.splitlines()[-1]
    whole = written(tmp_path / "whole.json", sum(parts))
    assert out.read_bytes() == whole.read_bytes()
    results = json.loads(whole.read_text())
    assert said == f"mIoU {100 * results['miou']:.2f} % (val, 3 shards, protocol whole)"
    assert results["categories"].keys() == {"things", "ground"}
    assert results["confusion"] == sum(parts).tolist()


def test_weights_add_up_too(parts, tmp_path):
    files = [
        written(tmp_path / f"{number}.json", counts / 7, f"{number}/3")
        for number, counts in enumerate(parts, 1)
    ]
    merge(*files, f"--json={tmp_path / 'merged.json'}")
    found = json.loads((tmp_path / "merged.json").read_text())
    assert found["weighted"]
    np.testing.assert_allclose(found["confusion"], sum(parts) / 7, rtol=1e-8)


def change(file, **values):
    file.write_text(as_text({**json.loads(file.read_text()), **values}))


def refusal(capsys, *words, code=1):
    with pytest.raises(SystemExit) as stopped:
        merge(*words)
    assert stopped.value.code == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_what_is_not_all_shards_of_one_evaluation_is_refused(parts, copies, tmp_path, capsys):
    one, two, three = copies
    line = refusal(capsys, one, three)
    assert "1 of 3 shards are missing, first 2/3; evaluate with --data.shard=2/3" in line
    line = refusal(capsys, *copies, one)
    assert f"{one} and {one} are both shard 1/3; keep one" in line
    whole = written(tmp_path / "whole.json", sum(parts))
    line = refusal(capsys, *copies, whole)
    assert f"{whole} is of no shard; evaluate with --data.shard" in line
    shard = json.loads(one.read_text())["shard"]
    change(two, shard={**shard, "part": "2/4"})
    assert f"{two} is one of 4 shards, {one} of 3" in refusal(capsys, *copies)
    change(two, shard={**shard, "part": "2/3"}, protocol="paper-ss")
    assert f"{two} has protocol paper-ss, {one} whole" in refusal(capsys, *copies)
    change(two, protocol="whole", weighted=True)
    assert f"{two} is of other classes or weights than {one}" in refusal(capsys, *copies)
    del copies[1:]
    change(one, shard={**shard, "part": "one"})
    assert f"{one} is of no shard" in refusal(capsys, one)


def test_merging_reads_no_predictions_and_overwrites_nothing(copies, tmp_path, capsys):
    assert "1.json exists; name another" in refusal(capsys, *copies, f"--json={copies[0]}")
    line = refusal(capsys, *copies, "--absent=zero", code=2)
    assert "--merge goes with --json alone" in line
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), str(tmp_path), "--merge", *map(str, copies)])
    assert stopped.value.code == 2
    assert "give PREDICTIONS and TARGET, or" in capsys.readouterr().err
