"""Paths that are not there are refused before the network is built."""

import pytest
from jsonargparse import Namespace

from pspnet.cli import main
from pspnet.command_line.early_checks import check_paths
from pspnet.errors import UserError


def options(*, folder=None, images=None, source="Folder", **source_options) -> Namespace:
    init_args = Namespace(**source_options)
    source = Namespace(class_path=f"pspnet.data.{source}", init_args=init_args)
    network = Namespace(init_args=Namespace(encoder_weights=None))
    return Namespace(
        data=Namespace(source=source, images=images),
        output=Namespace(folder=folder),
        model=Namespace(network=network),
    )


def test_images_and_folder_of_a_prediction(tmp_path):
    absent, empty, file = (tmp_path / name for name in ("absent", "empty", "file"))
    empty.mkdir()
    file.write_text("")
    with pytest.raises(UserError, match=f"^{absent}: no such image or folder; set data.images"):
        check_paths(options(images=str(absent)), "predict")
    with pytest.raises(UserError, match=f"^{empty}: no image in this folder"):
        check_paths(options(images=str(empty)), "predict")
    (empty / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=f"^output.folder={file} is a file; name a folder for"):
        check_paths(options(images=str(empty), folder=str(file)), "predict")
    check_paths(options(images=str(empty), folder=str(absent), root="nowhere"), "predict")


@pytest.mark.parametrize("command", ["fit", "validate", "test"])
def test_the_root_of_a_data_set(command, tmp_path):
    root = tmp_path / "absent"
    with pytest.raises(UserError, match=rf"^{root} is missing: .*give --data.source.root=FOLDER"):
        check_paths(options(root=str(root)), command)
    root.mkdir()
    check_paths(options(root=str(root)), command)  # what is in it is read later


def test_no_encoder_is_looked_for_without_the_data(tmp_path, capsys):
    words = ["--data.source=VOC", f"--data.source.root={tmp_path / 'absent'}", "--wandb=off"]
    with pytest.raises(SystemExit):
        main(["fit", *words, "--model.network.encoder=no_such_encoder"])
    assert f"error: {tmp_path}/absent is missing: expected the folder" in capsys.readouterr().err
