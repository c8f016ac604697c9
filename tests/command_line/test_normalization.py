"""Mean and std that a command takes from the encoder, each where it is not given."""

import pytest
from jsonargparse import Namespace

from pspnet.command_line.normalization import set_normalization

HALF, RED = (0.5, 0.5, 0.5), (0.3, 0.2, 0.1)


def options(**data: object) -> Namespace:
    encoder = Namespace(encoder="tu-tf_efficientnet_lite0", encoder_weights="a.pth")
    given = Namespace(**({"mean": None, "std": None, "channels": Namespace()} | data))
    return Namespace(data=given, model=Namespace(network=Namespace(init_args=encoder)))


@pytest.mark.parametrize(
    ("given", "mean", "std", "said"),
    [
        ({}, HALF, HALF, "data.std 0.5, 0.5, 0.5, as these"),
        ({"mean": RED}, RED, HALF, "data.std 0.5, 0.5, 0.5, data.std as these weights expect"),
        ({"std": RED}, HALF, RED, "data.std 0.3, 0.2, 0.1, data.mean as these weights expect"),
        ({"mean": RED, "std": RED}, RED, RED, "data.std 0.3, 0.2, 0.1, as given"),
    ],
)
def test_what_is_not_given_is_the_encoders(given, mean, std, said, capsys):
    config = options(**given)
    set_normalization(config, telling=True)
    assert (config.data.mean, config.data.std) == (mean, std)
    assert said in capsys.readouterr().err
