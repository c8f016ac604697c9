"""A small sweep file's content."""

COMMAND = ["${env}", "${interpreter}", "-m", "pspnet", "fit", "--config=base.yaml"]
COMMAND += ["--config=of_${envvar:DATA}.yaml", "--logs=logs/ablation/own/${envvar:DATA}", "${args}"]
OWN = {
    "program": "pspnet",
    "method": "grid",
    "command": COMMAND,
    "parameters": {
        "model.auxiliary_weight": {"values": [0, 0.3]},
        "model.loss": {"value": None},
        "model.network.bins": {"values": [[1], [1, 2, 3, 6]]},
        "model.network.reduce": {"value": False},
        "seed_everything": {"values": [3, 4]},
    },
}
