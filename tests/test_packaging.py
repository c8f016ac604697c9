"""pyproject.toml, requirements.txt and environment.yml say the same."""

import re
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]


def quoted_requirements() -> list[Requirement]:
    """The requirements in pyproject.toml; Python 3.10 has no reader of TOML."""
    text = (ROOT / "pyproject.toml").read_text()
    text = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    text = re.sub(r"#.*", "", text)
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
