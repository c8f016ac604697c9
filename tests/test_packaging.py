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
        "from pspnet.command_line.words import config_file\n"
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
