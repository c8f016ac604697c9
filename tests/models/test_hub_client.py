"""The Hugging Face Hub is not waited for where there is no network."""

import socket

import pytest
from huggingface_hub import constants

from pspnet import Dilation
from pspnet.errors import UserError
from pspnet.models import hub as hub_module
from pspnet.models.encoder import build_encoder
from pspnet.models.hub import hub


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The hosts whose address is asked for, none of which has one; no proxy, an empty cache."""
    hosts = []

    def refuse(host, *args, **options):
        hosts.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(hub_module, "getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return hosts


def test_a_host_without_an_address_is_asked_once(asked):
    with pytest.raises(UserError, match="could not be fetched"):
        build_encoder("tu-resnet18", weights="imagenet", dilation=Dilation())
    assert asked == ["huggingface.co"]
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize(
    ("proxies", "address", "offline"),
    [({}, [], True), ({}, ["1.2.3.4"], False), ({"https": "http://proxy"}, [], False)],
)
def test_a_proxy_may_know_what_this_machine_does_not(monkeypatch, asked, proxies, address, offline):
    monkeypatch.setattr(hub_module, "getproxies", lambda: proxies)
    if address:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args: address)
    with hub():
        assert offline == constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
