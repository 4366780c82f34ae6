"""Text made to be slow is not: twice the text is about twice the work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from time import process_time
from types import FrameType
from typing import Any

import pytest
from semantic_core_markdown import semantic_context, semantic_describe, semantic_split

from semantic_core import Document, Ref

SIZE = 3_000
FAMILIES: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: "[" * n,
    "stars": lambda n: "*" * n,
    "backticks": lambda n: "`" * n,
    "quote marks": lambda n: ">" * n,
    "quote marks apart": lambda n: "> " * (n // 2),
    "bullets in bullets": lambda n: "- " * (n // 2),
    "mixed bullets": lambda n: "- * " * (n // 4),
    "numbers in numbers": lambda n: "1. " * (n // 3),
    "pipes": lambda n: "|" * n,
    "dots": lambda n: "." * n,
    "closing quotes": lambda n: '.""""' * (n // 5),
    "spaces": lambda n: "x" + " " * n + "y",
    "blank lines": lambda n: "\n" * n,
    "one word": lambda n: "a" * n,
    "joiners": lambda n: "\u200d" * n,
    "flags": lambda n: "\U0001f1e6" * n,
    "headings of brackets": lambda n: ("# " + "![" * 90 + "\n") * (n // 180),
    "headings of stars": lambda n: ("# " + "*a _b " * 30 + "\n") * (n // 180),
    "a heading of brackets": lambda n: "# " + "[" * n,
    "headings": lambda n: "# a\n" * (n // 4),
    "no headings": lambda n: "    # a\n" * (n // 8),
    "underlines": lambda n: "a\n=\n" * (n // 4),
    "quotes within quotes": lambda n: ("> " * 40 + "a\n") * (n // 80),
    "lists within lists": lambda n: "".join(
        "  " * (line % 40) + "- a\n" for line in range(n // 42)
    ),
    "fences in quotes and plain lines": lambda n: "> ```\na\n" * (n // 8),
    "code in quotes and plain lines": lambda n: ">     a\nb\n" * (n // 10),
    "unclosed fences in items": lambda n: "- ```\n\n" * (n // 7),
    "unclosed comments": lambda n: "<!-- a\n\n" * (n // 8),
    "tags": lambda n: "<a " * (n // 3),
    "attributes": lambda n: "<a" + " b" * (n // 2),
    "definitions": lambda n: "".join(f"[a{number}]: b\n" for number in range(n // 10)),
    "open titles": lambda n: "".join(f"[a]: b {mark}\n" for mark in "'\"(" * (n // 27)),
    "an open label": lambda n: "[" + "a\n" * (n // 2),
    "delimiter rows": lambda n: "a\n|-\n" * (n // 5),
    "a wide table": lambda n: "|a" * (n // 4) + "|\n" + "|-" * (n // 4) + "|\n",
    "a long table": lambda n: "|a|b|\n|-|-|\n" + "|1|2|\n" * (n // 6),
    "items": lambda n: "- a\n" * (n // 4),
    "alternating lists": lambda n: "- a\n+ b\n" * (n // 8),
    "tiny paragraphs": lambda n: "a\n\n" * (n // 3),
    "items and lines that only may be of them": lambda n: "- a\n b\n" * (n // 7),
    "items of any width": lambda n: "- a\n-  b\n-   c\n" * (n // 15),
    "lists without an end in sight": lambda n: "- a\n\n" * (n // 10) + " b\n\n" * (n // 10),
    "open HTML in what the parser reads": lambda n: "- a\nb\n\n<pre>\n\nc\n\n" * (n // 19),
    "open code in what the parser reads": lambda n: "[a]: (\n```\n" + "b\n\nc\n" * (n // 6),
    "quotes that end in nothing": lambda n: "> a\n>\n\n" * (n // 8),
    "tables with a column too few": lambda n: "|a|b|\n|-|\n|c|\n\n" * (n // 16),
    "one long paragraph and a doubt": lambda n: "a\n" * (n // 2) + "<b>\n" + "a\n" * 3,
    "dashes": lambda n: "-" * n + "x",
    "dashes apart": lambda n: "- " * (n // 2) + "x",
    "blank lines of spaces": lambda n: "a\n" + " \n" * (n // 2) + "  b",
    "introductions": lambda n: "a:\n\n```\nx\n```\n\n" * (n // 15),
    "lines across the page": lambda n: "---\n\n" * (n // 5),
    "one long line of code": lambda n: "```\n" + "x" * n,
    "brackets in front matter": lambda n: "---\na: " + "[" * n + "\n---\n",
    "keys in front matter": lambda n: (
        "---\n" + "".join(f"k{number}: v\n" for number in range(n // 8)) + "---\n"
    ),
    "a long key in front matter": lambda n: "---\n" + "k" * n + ": v\n---\n",
    "many dashes": lambda n: "---\n" * (n // 4),
}
ONE_CALL = (
    *(
        "stars",
        "backticks",
        "pipes",
        "dots",
        "closing quotes",
        "spaces",
        "blank lines",
        "one word",
        "joiners",
        "tags",
    ),
    *(
        "attributes",
        "headings of stars",
        "headings of brackets",
        "a heading of brackets",
        "one long line of code",
    ),
    *(
        "items",
        "items of any width",
        "lists without an end in sight",
        "one long paragraph and a doubt",
        "dashes apart",
    ),
    *(
        "blank lines of spaces",
        "a long table",
        "tiny paragraphs",
        "unclosed comments",
        "definitions",
        "an open label",
    ),
    *("a wide table", "brackets in front matter", "a long key in front matter", "many dashes"),
)
"""Those whose work may hide within a single call: of a regular expression, of the YAML library."""


def work(text: str) -> None:
    document = semantic_describe(
        document=Document(Ref("notes", "1"), text, media_type="text/markdown")
    )
    chunks = semantic_split(document=document, max_chars=100)
    semantic_context(document=document, chunks=chunks)


def lines_run(text: str) -> int:
    """How many lines of Python run for a text: the same every time,
    whatever else the machine does.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work(text)
    finally:
        sys.settrace(before)
    return count


@pytest.fixture(scope="module", autouse=True)
def everything_is_loaded() -> None:
    """What is loaded or compiled when it is first needed counts for neither text."""
    work("---\na: b\n---\n# *a*\n\n- a\n-  b\n-   c\n\n```\nb\n")


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
def test_twice_the_text_is_about_twice_the_work(make) -> None:
    assert lines_run(make(2 * SIZE)) < 2.6 * lines_run(make(SIZE)) + 1_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_CALL)
def test_no_regular_expression_makes_up_for_it(name) -> None:
    """What runs inside one call of the interpreter is not counted in lines.

    Eight times the text, squared, would be 64.
    """

    def seconds(text: str) -> float:
        started = process_time()
        work(text)
        return process_time() - started

    small, large = FAMILIES[name](8_000), FAMILIES[name](64_000)
    assert min(seconds(large) for _ in range(3)) < 30 * min(seconds(small) for _ in range(3)) + 0.05


def test_a_thread_with_a_small_stack_is_enough_for_any_nesting() -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for mark in ("> ", "- ", "1. ", "> - "):
                work(mark * 5_000 + "deep\n\n# Heading\n")
        except BaseException as error:  # noqa: BLE001
            # Handed to the test, which is in another thread.
            failures.append(error)

    size = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert not failures


def test_a_line_of_ten_megabytes_is_cut() -> None:
    document = Document(Ref("notes", "1"), "word " * 2_000_000, media_type="text/markdown")
    chunks = semantic_split(document=document, max_chars=2_000)
    assert sum(chunk.text.count("word") for chunk in chunks) == 2_000_000
