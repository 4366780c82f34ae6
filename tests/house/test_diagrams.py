"""Every diagram of every page is parsed by Mermaid itself, in one node process.

Mermaid comes from the npm registry once, as one file in ``.mermaid/``. On a machine without Node,
npm or the registry the tests are skipped and say why; in CI they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from floor_plan import ROOT
from pages import PAGES, blocks, shown

pytestmark = pytest.mark.slow

PARSER = Path(__file__).parent / "mermaid" / "parse.cjs"
VERSION = "11.17.2"
"""Of Mermaid; pinned, so that only a change of a page can break a diagram."""
BUNDLE = "package/dist/mermaid.min.js"
"""Mermaid with everything it needs, in the archive of its package."""
KEEP = ROOT / ".mermaid" / f"mermaid-{VERSION}.min.js"

HISTORIC = """\
sequenceDiagram
    participant Loop as Event loop
    participant Thread as Worker thread
    Loop->>Thread: run core.search(query)
    Note over Loop: goes on with other requests
"""
"""A diagram that once stood on a page: `Loop` is a keyword of Mermaid after `Note over`."""


class Diagram(NamedTuple):
    """place: page:line of its first line."""

    place: str
    text: str


def diagrams() -> Iterator[Diagram]:
    """The diagrams of all pages."""
    for page in PAGES:
        for block in blocks(page.read_text("utf-8")):
            if block.language == "mermaid":
                yield Diagram(f"{shown(page)}:{block.line}", block.text)


def unavailable(reason: str) -> None:
    """Skip, or fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"Diagrams must be parsed in CI. {reason}")
    pytest.skip(f"No diagram was parsed. {reason}")


def fetch(folder: Path) -> bytes:
    """Mermaid's bundle, from the npm registry. Raises OSError or subprocess.SubprocessError."""
    command = ["npm", "pack", f"mermaid@{VERSION}", "--silent", "--fetch-retries=1"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=folder)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        member = package.extractfile(BUNDLE)
        assert member is not None, f"mermaid {VERSION} has no {BUNDLE}"
        return member.read()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file Mermaid is in; fetched if it is not there yet."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            unavailable(f"There is no {program} on this machine.")
    if not KEEP.exists():
        folder = tmp_path_factory.mktemp("mermaid")
        try:
            content = fetch(folder)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or error
            unavailable(f"npm cannot fetch mermaid {VERSION}: {said}")
        KEEP.parent.mkdir(exist_ok=True)
        part = KEEP.with_suffix(f".{os.getpid()}")  # another process may be fetching it, too
        part.write_bytes(content)
        part.replace(KEEP)
    return KEEP


def broken(bundle: Path, drawn: list[Diagram]) -> list[str]:
    """The place and Mermaid's message of each diagram that does not parse."""
    done = subprocess.run(
        ["node", str(PARSER), str(bundle)],
        input=json.dumps([diagram.text for diagram in drawn]),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    messages = json.loads(done.stdout)
    return [
        f"{diagram.place}: {message}"
        for diagram, message in zip(drawn, messages, strict=True)
        if message
    ]


def test_every_diagram_parses(bundle: Path) -> None:
    drawn = list(diagrams())
    assert len(drawn) > 30
    found = broken(bundle, drawn)
    assert not found, "\n\n".join(found)


def test_a_diagram_that_does_not_parse_is_reported_with_its_place_and_the_reason(
    bundle: Path,
) -> None:
    right = Diagram("right.md:3", HISTORIC.replace("Loop", "EventLoop"))
    (message,) = broken(bundle, [right, Diagram("wrong.md:7", HISTORIC)])
    assert message.startswith("wrong.md:7: Parse error on line 5")
    assert "got 'loop'" in message


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_without_node_diagrams_are_skipped_but_never_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="There is no node"):
        unavailable("There is no node on this machine.")
