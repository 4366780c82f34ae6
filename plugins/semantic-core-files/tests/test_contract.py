"""The kits of the kernel hold for every reader, and for the splitter of source code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from making import CODE, SAMPLES
from semantic_core_files import limits, semantic_readers, semantic_split

from semantic_core.testing import Check, reader_checks, splitter_checks

READERS = semantic_readers()


def too_much(name: str) -> Callable[[], bytes] | None:
    """A file with more text than one may have."""
    line = b"some words of text\n"
    data = line * (limits.MAX_TEXT_CHARS // len(line) + 1)
    made = {
        "post.eml": b"From: a@b\nSubject: x\n\n" + data,
        "handbuch.rst": data,
        "code.py": data,
    }
    return (lambda: made[name]) if name in made else None


CASES = [
    pytest.param(name, check, id=f"{name}-{check}")
    for name, (data, phrases) in SAMPLES.items()
    for check in reader_checks(
        name=name,
        data=data,
        phrases=phrases,
        too_much=too_much(name),
        tries=12,
        seconds=30.0,
        module="semantic_core_files",
    )
]


@pytest.mark.parametrize(("name", "check"), CASES)
def test_readers_keep_their_contract(name: str, check: Check) -> None:
    check(READERS[f".{name.rpartition('.')[2]}"])


GO = """// Package p says hello.
package p

// Add adds.
func Add(a int, b int) int {
\treturn a + b
}

type Reader struct {
\tname string
}

func (r *Reader) Read() string {
\treturn r.name
}
"""


PYTHON_CHECKS = splitter_checks(media_type="text/x-python", samples=[CODE.decode()])
GO_CHECKS = splitter_checks(media_type="text/x-go", samples=[GO])


@pytest.mark.parametrize("check", PYTHON_CHECKS, ids=str)
def test_the_splitter_of_python_keeps_its_contract(check: Check) -> None:
    check(semantic_split)


@pytest.mark.parametrize("check", GO_CHECKS, ids=str)
def test_the_splitter_of_other_languages_keeps_its_contract(check: Check) -> None:
    check(semantic_split)
