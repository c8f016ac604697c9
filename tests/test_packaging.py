"""pyproject.toml, requirements.txt and environment.yml agree, and a wheel holds all it needs."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from pspnet.__main__ import main

ROOT = Path(__file__).parents[1]


def quoted_requirements() -> list[Requirement]:
    """Return the requirements in pyproject.toml; Python 3.10 has no reader of TOML."""
    text = (ROOT / "pyproject.toml").read_text()
    text = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    # gradio holds Pillow below 13; who asks for the demo gets an older one than is pinned
    text = re.sub(r"#.*|^demo = .*", "", text, flags=re.MULTILINE)
    return [Requirement(entry) for entry in re.findall(r'"([A-Za-z][^"]*)"', text)]


def pinned() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines]


def test_every_requirement_is_pinned_to_a_version_that_it_allows():
    direct = quoted_requirements()
    assert len(direct) > 15
    for requirement in direct:
        pins = [p for p in pinned() if p.name.lower() == requirement.name.lower()]
        assert pins, requirement
        for pin in pins:
            (exact,) = pin.specifier
            assert exact.operator == "=="
            assert requirement.specifier.contains(exact.version, prereleases=True), pin


def test_every_line_of_the_pins_is_exact_and_names_no_address():
    text = (ROOT / "requirements.txt").read_text()
    assert "://" not in text
    assert "--" not in text
    assert all([s.operator for s in pin.specifier] == ["=="] for pin in pinned())


def test_the_conda_environment_installs_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-r requirements.txt", "-e ."]}
    python = next(entry for entry in conda if entry.startswith("python="))
    required = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert required is not None
    assert Version(python.removeprefix("python=")) >= Version(required[1])


def test_every_make_target_that_the_docs_name_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        named = set(re.findall(r"`make ([a-z-]+)", page.read_text("utf-8")))
        assert named <= targets, page


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The content of a wheel, away from the checkout."""
    project, wheels, site = (tmp_path_factory.mktemp(name) for name in ("copy", "wheels", "site"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, project)
    for name in ("src", "configs"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, project / name, symlinks=True, ignore=ignored)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(wheels)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=project, check=True, capture_output=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return site


def test_a_wheel_holds_every_module_configuration_and_class_table(installed):
    for pattern in ("**/*.py", "configs/**/*.yaml", "**/*.txt"):
        source = {file.relative_to(ROOT / "src") for file in (ROOT / "src/pspnet").glob(pattern)}
        shipped = {file.relative_to(installed) for file in (installed / "pspnet").glob(pattern)}
        assert source == shipped
        assert source
    configs = {file.relative_to(ROOT / "configs") for file in (ROOT / "configs").rglob("*.yaml")}
    packaged = installed / "pspnet" / "configs"
    assert configs == {file.relative_to(packaged) for file in packaged.rglob("*.yaml")}
    points = next(installed.glob("*.dist-info")) / "entry_points.txt"
    assert "pspnet = pspnet.__main__:main" in points.read_text()


def test_an_installed_package_finds_its_configurations(installed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ["base", "voc_pspnet"]  # the latter refers to ../data/voc.yaml
    program = (
        "from pspnet.command_line.parsing.words import config_file\n"
        f"for name in {names}: print(config_file(name, 'experiment'))"
    )
    command, path = [sys.executable, "-c", program], {"PYTHONPATH": str(installed)}
    found = subprocess.run(
        command, env={**os.environ, **path}, check=True, capture_output=True, text=True
    ).stdout.split()
    packaged = installed / "pspnet" / "configs"
    assert found == [str(packaged / "base.yaml"), str(packaged / "experiment" / "voc_pspnet.yaml")]
    with pytest.raises(SystemExit):
        main(["fit", *(f"-c={file}" for file in found), "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["name"] == "voc_pspnet"
    assert config["data"]["source"]["class_path"].endswith(".VOC")


def requirements_of(installed: Path) -> list[Requirement]:
    """Return what a wheel asks an installer for, the extras' with their markers."""
    metadata = (next(installed.glob("*.dist-info")) / "METADATA").read_text()
    return [Requirement(line) for line in re.findall("^Requires-Dist: (.*)", metadata, re.M)]


def test_tools_of_tests_and_sweeps_are_installed_by_extras_alone(installed):
    every = requirements_of(installed)
    plain = {r.name for r in every if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert {"torch", "lightning", "timm"} <= plain
    extras = {
        extra: {
            r.name for r in every if r.name not in plain and r.marker.evaluate({"extra": extra})
        }
        for extra in ("dev", "ablation", "geo", "export", "demo")
    }
    assert {"pytest", "ruff", "mypy", "hypothesis"} <= extras["dev"]
    assert extras["ablation"] == {"ray", "pandas"}
    assert extras["geo"] == {"rasterio"}
    assert extras["export"] == {"onnx", "onnxruntime", "onnxscript"}
    assert extras["demo"] == {"gradio"}


# hides the packages that no runtime requirement leads to, and imports every module of ours
BARE = """
import importlib, pkgutil, sys
from importlib.metadata import distribution, packages_distributions, PackageNotFoundError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

wanted, needed = [Requirement(line) for line in sys.argv[1:]], set()
while wanted:
    one = wanted.pop()
    key = canonicalize_name(one.name), frozenset(one.extras)
    if key in needed:
        continue
    needed.add(key)
    try:
        lines = distribution(one.name).requires or ()
    except PackageNotFoundError:  # of another system
        continue
    for further in map(Requirement, lines):
        extras = one.extras or {""}
        if further.marker is None or any(further.marker.evaluate({"extra": e}) for e in extras):
            wanted.append(further)
names = {name for name, _ in needed} | {"packaging", "pspnet"}
hidden = {
    module
    for module, owners in packages_distributions().items()
    if not names & {canonicalize_name(owner) for owner in owners}
}
assert {"ray", "pandas", "pytest", "mypy", "hypothesis", "rasterio", "onnx"} <= hidden

class Bare:
    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec is not None), None)

    def find_distributions(self, context):
        for finder in self.finders:
            yield from getattr(finder, "find_distributions", lambda _: ())(context)

sys.meta_path[:] = [Bare([*sys.meta_path])]
import torch
import pspnet
print(pspnet.__file__)
for found in pkgutil.walk_packages(pspnet.__path__, "pspnet."):
    try:
        importlib.import_module(found.name)
    except ModuleNotFoundError as error:
        print(found.name, error.name)
network = pspnet.PSPNet(2, encoder="tu-regnetx_002", decoder_channels=8).eval()
with torch.no_grad():
    print(*network(torch.zeros(1, 3, 33, 33)).shape)
"""


@pytest.mark.slow
def test_a_wheel_without_extras_has_all_that_training_and_inference_import(installed, tmp_path):
    plain = [r for r in requirements_of(installed) if r.marker is None]
    command = [sys.executable, "-c", BARE, *map(str, plain)]
    path = {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        command,
        env={**os.environ, **path},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        str(installed / "pspnet" / "__init__.py"),
        "pspnet.tools.ablation.report pandas",
        "pspnet.tools.demo.page gradio",
        "1 2 33 33",
    ]
