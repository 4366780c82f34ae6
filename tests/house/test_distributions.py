"""The files `make wheels` makes: what they hold, and that their pages read well on an index, where
no link can be relative.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest
from floor_plan import ROOT
from pages import for_each
from shared import made_once

PROJECTS = [ROOT, *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))]
HOME = "https://github.com/semantic-core/semantic-core"
PICTURES = "https://raw.githubusercontent.com/semantic-core/semantic-core/main/"
LINKS = ("Homepage", "Documentation", "Source", "Issues", "Changelog")


def settings(project: Path) -> Mapping[str, object]:
    return tomllib.loads((project / "pyproject.toml").read_text("utf-8"))


class Dist:
    """The wheels, each from its sdist, and sdists. A project is built when it is asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory

    def wheel(self, project: Path) -> ZipFile:
        (file,) = self._of(project).glob(f"{self._name(project)}-*.whl")
        return ZipFile(file)

    def sdist(self, project: Path) -> tarfile.TarFile:
        (file,) = self._of(project).glob(f"{self._name(project)}-*.tar.gz")
        return tarfile.open(file)

    def metadata(self, project: Path) -> Message:
        with self.wheel(project) as wheel:
            (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
            return message_from_bytes(wheel.read(name))

    def _of(self, project: Path) -> Path:
        def build(folder: Path) -> None:
            command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
            done = subprocess.run([*command, str(project)], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr

        return made_once(self._factory, self._name(project), build)

    @staticmethod
    def _name(project: Path) -> str:
        return str(settings(project)["project"]["name"]).replace("-", "_")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    return Dist(tmp_path_factory)


def page_of(metadata: Message) -> str:
    """The description, as the index shows it."""
    payload = metadata.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8")


def targets(page: str) -> list[str]:
    """Where the links and pictures of a page lead to; code is no link."""
    text = re.sub(r"^(`{3,}).*?^\1 *$", "", page, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"``.*?``|`[^`\n]*`", "", text)
    found = re.findall(r"\]\(([^)\s]*)", text)
    return found + re.findall(r"""\b(?:href|src|srcset)=["']([^"']*)""", text)


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("a [link](guides/cli.md) and ![a picture](x.svg)", ["guides/cli.md", "x.svg"]),
        ("[![a badge](badge.svg)](#below)", ["badge.svg", "#below"]),
        ('<picture><source srcset="dark.svg"><img src="light.svg"></picture>', ["dark.svg"]),
        ("`[no](link)` and\n```python\nrows[0](1)\n```\n", []),
    ],
)
def test_every_kind_of_link_is_seen(page: str, found: list[str]) -> None:
    assert targets(page)[: len(found)] == found
    assert bool(targets(page)) is bool(found)


@pytest.mark.slow
@for_each(PROJECTS)
def test_links_of_an_index_page_are_absolute_and_lead_to_files_of_the_repository(
    project: Path, dist: Dist
) -> None:
    metadata = dist.metadata(project)
    assert metadata["Description-Content-Type"] == "text/markdown"
    found = targets(page_of(metadata))
    assert found
    assert [target for target in found if not target.startswith("https://")] == []
    pages = [target for target in found if target.startswith(HOME)]
    pictures = [target for target in found if target.startswith(PICTURES)]
    assert len(pages) + len(pictures) >= len(
        [
            target
            for target in targets((project / "README.md").read_text("utf-8"))
            if not target.startswith("https://")
        ]
    )
    broken = []
    for target in pages:
        path = re.fullmatch(rf"{re.escape(HOME)}/blob/main/([^#]+)(#.*)?", target)
        if path is None or not (ROOT / path[1]).exists():
            broken.append(target)
    for target in pictures:
        path_of_picture = ROOT / target.removeprefix(PICTURES)
        if not (path_of_picture.is_file() and path_of_picture.suffix in (".svg", ".png")):
            broken.append(target)
    assert broken == []


@for_each(PROJECTS)
def test_every_distribution_has_the_same_address(project: Path) -> None:
    urls = settings(project)["project"]["urls"]
    assert tuple(urls) == LINKS
    assert all(url == HOME or url.startswith(f"{HOME}/") for url in urls.values())
    for url in urls.values():
        path = re.fullmatch(rf"{re.escape(HOME)}/(?:blob|tree)/main/(.+)", url)
        assert path is None or (ROOT / path[1]).exists(), url


@for_each(PROJECTS)
def test_what_builds_a_distribution_is_in_the_environment_of_make_wheels(project: Path) -> None:
    needs = re.search(
        r"^BUILD_NEEDS := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE
    )
    assert needs
    assert set(settings(project)["build-system"]["requires"]) < set(
        re.findall(r'"([^"]+)"', needs[1])
    )


@pytest.mark.slow
def test_the_sdist_of_the_kernel_brings_the_pages_and_the_blueprints(dist: Dist) -> None:
    with dist.sdist(ROOT) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {"README.md", "CHANGELOG.md", "LICENSE", "CONTRIBUTING.md", "benchmarks/README.md"}
    for folder in ("guides", "adapters_blueprints"):
        wanted |= {
            file.relative_to(ROOT).as_posix()
            for file in (ROOT / folder).rglob("*")
            if file.suffix in (".md", ".py", ".svg")
        }
    assert wanted - names == set()
    assert [name for name in names if name.startswith(("tests/", "plugins/"))] == []


@pytest.mark.slow
def test_the_wheel_of_the_kernel_brings_the_blueprints(dist: Dist) -> None:
    with dist.wheel(ROOT) as wheel:
        held = {
            name.rpartition("/")[2]: wheel.read(name)
            for name in wheel.namelist()
            if name.startswith("semantic_core/_blueprints/")
        }
    assert held == {
        file.name: file.read_bytes() for file in (ROOT / "adapters_blueprints").glob("*.py")
    }
