"""A trained network as a folder of the Hugging Face Hub: safetensors, config.json, a model card.

Reading one runs no code: of a repository, these three and the card's pictures are all that is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]

from pspnet.errors import UserError
from pspnet.files.writing import make_folder, write_atomic
from pspnet.models.options import class_and_options, plain_data
from pspnet.models.pspnet import PSPNet
from pspnet.models.published.weights_file import CONFIG, WEIGHTS
from pspnet.prediction.loading import Trained, load
from pspnet.prediction.model_card import PICTURES, model_card, results_of

if TYPE_CHECKING:
    from typing_extensions import Self

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
WEIGHTS_SUFFIXES = (".ckpt", ".pth", ".pt", ".safetensors", ".caffemodel", ".onnx", ".pt2", ".bin")


class HubFolder(ModelHubMixin):
    """Saving to a folder or the Hub, and loading from there, of what has `trained`."""

    trained: Trained

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write model.safetensors, config.json, README.md and pictures to a new folder.

        Args:
            save_directory: the folder; it must be empty or missing.
            options: as in `huggingface_hub.ModelHubMixin`; `model_card_kwargs={"license": "mit"}`
                names the license of the weights.

        Raises:
            UserError: if the folder holds anything, or the network is of a class of one's own.
        """
        folder = Path(save_directory)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not empty; name a new folder")
        network = class_and_options(self.trained.task.network, plain=PSPNet)
        if "class_path" in network:
            raise UserError(
                f"its network is a {network['class_path']}, whose code no one who loads it from "
                "the Hub has; only PSPNet itself is saved"
            )
        with hub_errors(str(options.get("repo_id", folder))):
            url: str | None = super().save_pretrained(make_folder(folder), **options)
        return url

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes, and return its address.

        Args:
            repo_id: such as "name/network"; it is created if it is not there.
            options: as in `huggingface_hub.ModelHubMixin`, `private` and `token` among them.

        Raises:
            UserError: if the Hub cannot be reached, or refuses.
        """
        card = {"repository": repo_id, **(options.pop("model_card_kwargs", None) or {})}
        with hub_errors(repo_id):
            url: str = super().push_to_hub(repo_id, model_card_kwargs=card, **options)
        return url

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self:
        """Load a folder of `save_pretrained`, or one of the Hub by its id.

        Args:
            pretrained_model_name_or_path: the folder or id.
            options: as in `huggingface_hub.ModelHubMixin`; others go to the constructor.

        Raises:
            UserError: if there is none, the Hub cannot be reached, or it holds no PSPNet.
        """
        # not the client's, which takes the constructor's arguments from config.json
        return cls._from_pretrained(model_id=str(pretrained_model_name_or_path), **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        from safetensors.torch import save

        checkpoint: dict[str, Any] = {}
        task = self.trained.task
        task.on_save_checkpoint(checkpoint)
        saved = {key: checkpoint[key] for key in ("hyper_parameters", "structure")}
        del saved["hyper_parameters"]["_instantiator"]
        data: dict[str, Any] = {"mean": list(self.trained.mean), "std": list(self.trained.std)}
        saved["config"] = {"data": data, "model": {}}
        if not self.trained.channels.is_rgb:
            data["channels"] = plain_data(self.trained.channels)
        if task.crop_size is not None:
            data["crop_size"] = list(task.crop_size)
        content = {"library_name": "pspnet", **saved, "results": results_of(self.trained)}
        state = {
            f"network.{key}": value.detach().cpu().contiguous().clone()
            for key, value in task.network.state_dict().items()
        }
        write_atomic(save_directory / WEIGHTS, save(state, {"format": "pt"}))
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        write_atomic(save_directory / CONFIG, text.encode())
        for name, picture in self._pictures().items():
            write_atomic(save_directory / name, picture.read_bytes())
        load(save_directory)  # refused here rather than by everyone who fetches it

    def _pictures(self) -> dict[str, Path]:
        run = self.trained.run
        found = {} if run is None else {name: run / name for name in PICTURES}
        return {name: file for name, file in found.items() if file.is_file()}

    def generate_model_card(self, *args: Any, **options: Any) -> ModelCard:
        """Return the model card, from the run's results.json where there is one."""
        return ModelCard(model_card(self.trained, pictures=[*self._pictures()], **options))


def fetched(path: str | Path, **options: Any) -> Path:
    """Return a path on disk; what an id of the Hub names is fetched to the Hub's cache.

    Args:
        path: a file or folder, or an id such as "name/network".
        options: as in `huggingface_hub.snapshot_download`.

    Raises:
        UserError: if there is no such id, or the Hub cannot be reached.
    """
    text = str(path)
    if Path(path).exists() or not HUB_ID.fullmatch(text) or text.endswith(WEIGHTS_SUFFIXES):
        return Path(path)
    with hub_errors(text):
        return Path(snapshot_download(text, allow_patterns=[WEIGHTS, CONFIG], **options))


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn what the Hub's client raises into one line.

    Raises:
        UserError: in place of an error of the client or the network.
    """
    try:
        yield
    except (HFValidationError, HTTPError, OSError) as error:  # OSError where it is offline
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise UserError(
            f"{name}: neither a file here nor to be had from the Hugging Face Hub ({reason.strip()}"
            "); check the name, the network and your token"
        ) from error
