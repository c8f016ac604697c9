"""Shards of the images: every image in exactly one of them, and none for a training."""

import pytest
from tiny import TinySource, build

from pspnet.data.datasets.base import Server
from pspnet.data.shard import Shard
from pspnet.errors import UserError


@pytest.mark.parametrize(("images", "count"), [(5, 1), (5, 3), (5, 5), (500, 8), (7, 6)])
def test_every_image_is_in_one_shard_in_order(images, count):
    parts = [Shard(number, count).part(range(images)) for number in range(1, count + 1)]
    assert [image for part in parts for image in part] == list(range(images))
    sizes = {len(part) for part in parts}
    assert sizes <= {images // count, images // count + 1}


@pytest.mark.parametrize("text", ["2", "0/3", "4/3", "1/0", "a/b", "1/2/3", "-1/2", " 1/2", "1/٢"])
def test_other_texts_are_refused(text):
    with pytest.raises(UserError, match=r"data.shard=.*: give a part and the number of parts"):
        Shard.of(text)


def test_the_loaders_share_each_split(tmp_path):
    source = TinySource(str(tmp_path), test_labels=3)
    found = {"validate": [], "test": [], "predict": []}
    for part in ("1/2", "2/2"):
        data = build(source, shard=part)
        data.prepare_data()
        for stage, loader in (
            ("validate", data.val_dataloader),
            ("test", data.test_dataloader),
            ("predict", data.predict_dataloader),
        ):
            data.setup(stage)
            found[stage] += [name for batch in loader() for name in batch["name"]]
    assert found["validate"] == [f"val{number}" for number in range(5)]
    assert found["test"] == found["predict"] == [f"test{number}" for number in range(3)]


def test_a_training_and_empty_shards_are_refused(tmp_path):
    source = TinySource(str(tmp_path))
    source.prepare()
    with pytest.raises(UserError, match=r"data.shard=1/2: a training takes all images"):
        build(source, shard="1/2").setup("fit")
    with pytest.raises(UserError, match=r"data.shard=1/6: 5 images are .*; give 5 parts or less"):
        build(source, shard="1/6").setup("validate")


class Submitted(TinySource):
    server = Server()


def test_no_part_of_a_test_split_is_submitted(tmp_path):
    source = Submitted(str(tmp_path))
    source.prepare()
    with pytest.raises(UserError, match=r"data.shard=1/2: the server takes the whole test split"):
        build(source, shard="1/2").setup("test")
