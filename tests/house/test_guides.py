"""The pages run. What a newcomer copies from README.md, a guide or a plugin's page is executed
here, from top to bottom.

- ```` ```python ````: run; the blocks of a page share one namespace and a temporary folder.
  Tracebacks show the page's line.
- ```` ```python file=NAME ```` (or toml, ...): written to the folder; later blocks import or read
  it. ```` ```python file=NAME append ````: added at the end of that file.
- ```` ```text output ````: what the Python block, or the last ``python`` command, above printed;
  ``...`` stands for anything.
- ```` ```console ````: a line ``$ semantic-core ...`` is run (variables may be set in front) and
  must end with 0, or with N where the line ends with ``# exits N``; so is ``$ python FILE ...``, in
  a process of its own. Lines without ``$`` are output, for the reader.

The folder has a few notes in ``notes/``. Settings files named in a block are read as such. Links
and anchors lead somewhere.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from types import ModuleType

import pytest
from floor_plan import ROOT
from pages import PAGES, Block, anchors, blocks, for_each, prose, shown
from probes import probe_once

from semantic_core._config import read_config
from semantic_core.errors import ConfigError
from semantic_core.orm import SemanticIndex

NOTES = {
    "loops.md": """\
---
title: Loops
lang: en
year: 2024
---
# Loops

A `for` loop goes through the items of a list, one by one. A `while` loop repeats a block for as long as a condition holds.

## Leaving early

`break` ends the loop at once; `continue` goes on with the next item.
""",  # noqa: E501
    "errors.md": """\
---
title: Errors
lang: en
year: 2023
---
# Errors

An exception stops the program unless somebody catches it. Close files in a `finally` block, or better, use `with`.
""",  # noqa: E501
    "garden.txt": """\
Tomatoes want sun, water in the morning, and a stick to lean on.

Carrots are sown where they will stay.
""",
}
DIAGRAMS = ("flowchart", "sequenceDiagram", "stateDiagram-v2", "classDiagram")


class Reader:
    """Someone who does what a page says, in a folder of their own."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.module = ModuleType("__page__")
        self.printed = ""

    def follow(self) -> int:
        """Do all of it; how many blocks there were to do."""
        with pytest.MonkeyPatch.context() as patch:  # frameworks look up where a handler is from
            patch.setitem(sys.modules, self.module.__name__, self.module)
            return self.blocks_done()

    def blocks_done(self) -> int:
        done = 0
        for block in blocks(self.page.read_text("utf-8")):
            act = {
                "python": self.python,
                "console": self.console,
                "bash": self.console,
                "toml": self.toml,
            }.get(block.language)
            if act is not None:
                act(block)
            elif block.file:
                self.write(block)
            elif block.words == ("output",):
                self.compare(block)
            else:
                continue
            done += 1
        return done

    def place(self, block: Block, offset: int = 0) -> str:
        return f"{self.page}:{block.line + offset}"

    def write(self, block: Block) -> None:
        target = self.folder / block.file
        assert target.resolve().is_relative_to(self.folder.resolve()), (
            f"{self.place(block)}: file= leads out of the folder"
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        if "append" in block.words:
            assert target.exists(), f"{self.place(block)}: there is no {block.file} to add to"
            target.write_text(f"{target.read_text('utf-8')}\n\n{block.text}", "utf-8")
        else:
            target.write_text(block.text, "utf-8")

    def python(self, block: Block) -> None:
        padded = "\n" * (block.line - 1) + block.text
        code = compile(padded, str(self.page), "exec", dont_inherit=True)
        if block.file:
            self.write(block)
        else:
            output = io.StringIO()
            with redirect_stdout(output):
                exec(code, vars(self.module))  # noqa: S102 - running the page is the test
            self.printed = output.getvalue()

    def compare(self, block: Block) -> None:
        same = OutputChecker().check_output(
            block.text, self.printed, ELLIPSIS | NORMALIZE_WHITESPACE
        )
        assert same, (
            f"{self.place(block)}: the page shows\n{block.text}\n"
            f"and the code printed\n{self.printed}"
        )

    def toml(self, block: Block) -> None:
        tomllib.loads(block.text)
        if not block.file:
            return
        self.write(block)
        if Path(block.file).name in ("semantic-core.toml", "pyproject.toml"):
            read_config(self.folder / block.file, environment={})

    def console(self, block: Block) -> None:
        for offset, line in enumerate(block.text.splitlines()):
            if not line.startswith("$ "):
                continue
            words = shlex.split(line.removeprefix("$ "), comments=True)
            variables = {}
            while words and re.match(r"[A-Z_]+=", words[0]):
                name, _, value = words.pop(0).partition("=")
                variables[name] = value
            if not words or words[0] not in ("semantic-core", "python"):
                continue
            wanted = re.search(r"# exits (\d+)\s*$", line)
            if words[0] == "python":
                code, output = program(words[1:], variables, self.folder)
                self.printed = output
            else:
                code, output = command(words[1:], variables)
            assert code == int(wanted[1] if wanted else 0), (
                f"{self.place(block, offset)}: exit code {code}: {line}\n{output}"
            )


def command(arguments: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """The exit code of ``semantic-core ...`` as a process would have it, and what it wrote."""
    from semantic_core.cli import main

    output = io.StringIO()
    before = dict(os.environ)
    os.environ.update(variables)
    code: object = 0
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(output):
            patch.setattr(sys, "argv", ["semantic-core", *arguments])
            patch.setattr(sys, "stderr", output)
            main()
    except SystemExit as end:
        code = end.code
    finally:
        os.environ.clear()
        os.environ.update(before)
    return (code if isinstance(code, int) else int(code is not None)), output.getvalue()


def program(arguments: list[str], variables: dict[str, str], folder: Path) -> tuple[int, str]:
    """The exit code of ``python ...`` in this folder, and what it wrote."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a few notes, whose modules can be imported while the test lasts.

    What a page puts into the environment, and what indexes it declares, is gone afterwards.
    """
    environment = dict(os.environ)
    for name in environment:
        if name.startswith("SEMANTIC_CORE_"):
            del os.environ[name]
    os.environ["NO_COLOR"] = "1"
    (tmp_path / "notes").mkdir()
    for name, text in NOTES.items():
        (tmp_path / "notes" / name).write_text(text, "utf-8")
    probe_once(monkeypatch)
    declared = list(SemanticIndex._declared)
    loaded = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    with chdir(tmp_path):
        yield tmp_path
    SemanticIndex._declared[:] = declared
    os.environ.clear()
    os.environ.update(environment)
    for name in set(sys.modules) - loaded:
        if any(Path(place).is_relative_to(tmp_path) for place in places(sys.modules[name])):
            del sys.modules[name]


def places(module: ModuleType) -> list[str]:
    """The file of a module, or the folders of a package without one."""
    file = getattr(module, "__file__", None)
    return [file] if file else list(getattr(module, "__path__", ()))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_everything_on_the_page_runs(page: Path, folder: Path) -> None:
    Reader(page, folder).follow()


@for_each(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for number, line in enumerate(prose(page.read_text("utf-8")), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            linked = (page.parent / path).resolve() if path else page
            if not linked.exists() or not linked.is_relative_to(ROOT):
                broken.append(f"{shown(page)}:{number}: there is no {target}")
            elif anchor and anchor not in anchors(linked.read_text("utf-8")):
                broken.append(
                    f"{shown(page)}:{number}: {path or 'this page'} has no heading #{anchor}"
                )
    assert not broken, "\n".join(broken)


@for_each(PAGES)
def test_diagrams_begin_with_their_kind(page: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        if block.language == "mermaid":
            assert block.text.split(maxsplit=1)[0] in DIAGRAMS, f"{shown(page)}:{block.line}"


def test_a_failure_is_told_with_the_line_of_the_page(folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(
        "# Page\n\n```python\nx = 1\n```\n\nthen\n\n```python\n\nassert x == 2\n```\n", "utf-8"
    )
    with pytest.raises(AssertionError) as caught:
        Reader(page, folder).follow()
    last = caught.traceback[-1]
    assert (Path(str(last.path)), last.lineno + 1) == (page, 11)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n\n```text output\n2\n```\n",
        "```python\nif\n```\n",
        "```toml\na =\n```\n",
        "```toml file=semantic-core.toml\npaht = 'x.db'\n```\n",
        "```console\n$ semantic-core no-such-command\n```\n",
        "```console\n$ semantic-core --help  # exits 3\n```\n",
        "```console\n$ python -c 'raise SystemExit(1)'\n```\n",
        "```console\n$ python -c 'print(1)'\n```\n\n```text output\n2\n```\n",
        "```python file=mine.py append\nX = 7\n```\n",
        "```python\nprint(1)\n",
    ],
)
def test_a_page_that_is_wrong_fails(text: str, folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    with pytest.raises((AssertionError, SyntaxError, tomllib.TOMLDecodeError, ConfigError)):
        Reader(page, folder).follow()


def test_a_page_that_is_right_is_followed_to_its_end(folder: Path) -> None:
    page = folder / "page.md"
    text = [
        "```python file=mine.py\nX = 7\n```",
        "```python file=mine.py append\nY = X + 1\nprint('Y is', Y)\n```",
        "```python\nimport mine\nprint('X is', mine.X)\n```",
        "```text output\nY is 8\nX is ...\n```",
        "```console\n$ python mine.py\n```",
        "```text output\nY is 8\n```",
        (
            "```console\n$ semantic-core --help\nanything\n"
            "$ semantic-core no-such-command  # exits 2\n$ cat notes\n```"
        ),
    ]
    page.write_text("\n".join(text), "utf-8")
    assert Reader(page, folder).follow() == 7


def test_a_package_without_a_file_is_known_by_its_folder(folder: Path) -> None:
    (folder / "shelf").mkdir()
    (folder / "shelf" / "book.py").write_text("TITLE = 'Loops'\n", "utf-8")
    page = folder / "page.md"
    page.write_text("```python\nimport shelf.book\n```\n", "utf-8")
    Reader(page, folder).follow()
    assert places(sys.modules["shelf"]) == [str(folder / "shelf")]
    assert places(sys.modules["shelf.book"]) == [str(folder / "shelf" / "book.py")]


def test_the_two_models_of_the_peewee_guide_differ_in_the_marked_lines_only() -> None:
    text = (ROOT / "guides" / "integrations" / "peewee.md").read_text("utf-8")
    before, after, *_ = [block.text for block in blocks(text) if block.language == "python"]
    new = [line for line in after.splitlines() if line.endswith("  # new")]
    old = [line for line in after.splitlines() if line and line not in new]
    assert len(new) == 3 and old == [line for line in before.splitlines() if line]


def test_anchors_are_made_as_the_host_of_the_pages_makes_them() -> None:
    page = "# Key idea\n```\n# not this\n```\n## `where`: operators, and more\n## Key idea\n"
    assert anchors(page) == {"key-idea", "where-operators-and-more", "key-idea-1"}
