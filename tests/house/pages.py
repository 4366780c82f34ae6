"""The pages of the repository as its rules read them: which there are, and what is in them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from floor_plan import ROOT

Case = TypeVar("Case")

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("guides/**/*.md"),
        *ROOT.glob("plugins/*/README.md"),
        *ROOT.glob("adapters_blueprints/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
)
FENCE = re.compile(r"^( *)(`{3,}|~{3,}) *([\w+-]*) *(.*?) *$")


class Block(NamedTuple):
    """A fenced block. language, words: of the line that opens it.
    line: of its first line of text, from 1.
    """

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str:
        """The name after ``file=``, "" without one."""
        for word in self.words:
            if word.startswith("file="):
                return word.removeprefix("file=")
        return ""


def shown(page: Path) -> str:
    """The page as a failure names it: its path in the repository."""
    return page.relative_to(ROOT).as_posix()


def text_of(name: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / name).read_text("utf-8")


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order. A fence that is never closed is an error."""
    lines = page.splitlines()
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        number += 1
        if not opening:
            continue
        indent, fence, language, words = opening.groups()
        start = number
        closing = re.compile(rf"^ *{fence[0]}{{{len(fence)},}} *$")
        while number < len(lines) and not closing.match(lines[number]):
            number += 1
        assert number < len(lines), f"the block that begins at line {start + 1} is never closed"
        text = "\n".join(line.removeprefix(indent) for line in lines[start:number]) + "\n"
        yield Block(language, tuple(words.split()), text, start + 1)
        number += 1


def prose(page: str) -> list[str]:
    """The lines of a page with code taken out, so that line numbers stay."""
    lines = page.splitlines()
    for block in blocks(page):
        for number in range(block.line - 1, block.line - 1 + block.text.count("\n")):
            lines[number] = ""
    return [re.sub(r"``.*?``|`[^`]*`", "", line) for line in lines]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    plain = page.splitlines()
    for number, line in enumerate(prose(page)):
        heading = re.match(r"#{1,6}\s+(.*?)\s*#*$", plain[number]) if line.startswith("#") else None
        if heading:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            name = anchor
            copy = 0
            while name in found:
                copy += 1
                name = f"{anchor}-{copy}"
            found.add(name)
    return found


def headings(text: str, level: int) -> list[str]:
    """The headings of this level, in order, without those that stand in code."""
    outside = re.sub(r"^(`{3,}).*?^\1 *$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(rf"^#{{{level}}} (.+)$", outside, re.MULTILINE)


def section(text: str, heading: str) -> str:
    """The text below a heading, up to the next one of the same or a higher level."""
    start = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert start, f"there is no heading {heading!r}"
    following = re.search(rf"^#{{1,{len(start[1])}}} ", text[start.end() :], re.MULTILINE)
    return text[start.end() : start.end() + following.start() if following else None]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without head and rule."""
    found = []
    for table in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        for line in table.splitlines()[2:]:
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append([cell.strip() for cell in cells])
    return found


def for_each(cases: Iterable[Case]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: one test that checks every case, and fails with all offenders listed.

    The case is the first argument of the check; the others are fixtures.
    """

    def decorated(check: Callable[..., None]) -> Callable[..., None]:
        def test(**fixtures: object) -> None:
            checked = 0
            offenders = []
            for case in cases:
                checked += 1
                try:
                    check(case, **fixtures)
                except AssertionError as error:
                    name = shown(case) if isinstance(case, Path) else case
                    offenders.append(f"{name}: {error}")
            assert checked, "There is nothing to check."
            assert not offenders, "\n\n".join(offenders)

        signature = inspect.signature(check)
        _, *fixtures = signature.parameters.values()
        test.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        test.__name__ = check.__name__
        test.__doc__ = check.__doc__
        return test

    return decorated
