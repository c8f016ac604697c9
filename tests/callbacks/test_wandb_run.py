"""What W&B and TensorBoard have of a training, read back from their own files."""

import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest
import wandb
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore

from pspnet.cli import main


def records(folder: Path) -> Iterator[Record]:
    """Return the records of an offline run."""
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    store = DataStore()
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record = Record()
        record.ParseFromString(data)
        yield record


def history(folder: Path) -> dict[str, list]:
    """Return every logged key with its values in the order of logging."""
    values: dict[str, list] = {}
    for record in records(folder):
        for item in record.history.item:
            key = item.key or "/".join(item.nested_key)
            values.setdefault(key, []).append(json.loads(item.value_json))
    return values


def scalars(folder: Path) -> dict[str, list[float]]:
    """Return the scalars of TensorBoard's events: records of length, checksum, data, checksum."""
    (file,) = folder.glob("events.*")
    data, values, at = file.read_bytes(), {}, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        for value in Event.FromString(data[at + 12 : at + 12 + length]).summary.value:
            values.setdefault(value.tag, []).append(value.simple_value)
        at += length + 16
    return values


def words(shapes: Path, logs: Path) -> list[str]:
    return [
        *("fit", "--data.source=Folder", f"--data.source.root={shapes}", "--data.crop_size=41"),
        *("--data.batch_size=5", "--data.workers=0", "--model.network.encoder=tu-test_resnet"),
        *("--model.network.bins=[1]", "--model.network.decoder_channels=8"),
        *("--trainer.accelerator=cpu", "--trainer.max_epochs=2", f"--logs={logs}"),
        *("--trainer.enable_progress_bar=false", "--wandb=offline", "--tensorboard"),
    ]


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(sys.stdout):
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_RUN_GROUP"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_DATA_DIR", str(folder / "staged"))
        main(
            [
                *words(shapes, folder),
                *("--name=two shapes", "--wandb_images=2", "--wandb_checkpoint"),
                *("--wandb_project=mine", "--wandb_entity=team"),
            ]
        )
        wandb.finish()
    return folder / "two shapes" / "version_0"


def test_the_run_has_its_place_and_its_configuration(run):
    (made,) = (record.run for record in records(run) if record.HasField("run"))
    assert (made.project, made.entity) == ("mine", "team")
    assert (made.run_group, made.job_type) == ("two shapes", "fit")
    assert made.display_name == "two shapes/version_0"
    keys = {item.key for record in records(run) for item in record.config.update}
    assert {"data", "model", "trainer", "seed_everything"} <= keys


def test_scores_and_costs_are_those_of_the_files(run):
    logged = history(run)
    costs = json.loads((run / "costs.json").read_text())
    assert logged["costs/parameters"] == [costs["parameters"]]
    assert logged["costs/seconds"] == [costs["seconds"]]
    best = max(logged["val/miou"])
    assert best == pytest.approx(json.loads((run / "results.json").read_text())["miou"], abs=1e-6)
    summary = {
        item.key or "/".join(item.nested_key): item.value_json
        for record in records(run)
        for item in record.summary.update
    }
    assert json.loads(summary["val/miou"]) == best
    assert scalars(run / "tensorboard")["val/miou"] == pytest.approx(logged["val/miou"])


def test_the_same_images_have_masks_with_names_after_each_validation(run, shapes):
    logged = history(run)
    first, second = logged["val/examples/all_masks"]
    assert logged["val/examples/captions"][0] == logged["val/examples/captions"][1]
    assert len(first) == len(second) == 2
    media = next(run.glob("wandb/offline-run-*/files"))
    for name, masks in zip(logged["val/examples/captions"][0], first, strict=True):
        assert set(masks) == {"target", "prediction"}
        stored = np.asarray(Image.open(media / masks["target"]["path"]))
        label = np.asarray(Image.open(next(Path(shapes).rglob(f"masks/**/{name}.png"))))
        assert np.array_equal(stored, label)
        predicted = np.asarray(Image.open(media / masks["prediction"]["path"]))
        assert not np.array_equal(predicted, label)  # after one epoch it is no perfect one
        assert predicted.max() < 3


def test_the_best_checkpoint_is_an_artifact_by_option(run):
    models = [it.artifact for it in records(run) if it.artifact.type == "model"]
    named = {(it.name, *sorted(it.aliases)) for it in models}  # one per epoch that was the best
    assert named == {("two-shapes", "best", "latest")}
    (entry,) = models[-1].manifest.contents
    assert entry.size == (run / "checkpoints" / "best.ckpt").stat().st_size


def test_a_training_that_its_network_refuses_leaves_no_folder(shapes, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([*words(shapes, tmp_path), "--model.lr_scheduler.warmup_steps=100"])
    assert "error: warmup_steps=100" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
