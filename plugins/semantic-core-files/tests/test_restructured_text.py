"""reStructuredText: sections and code as Markdown."""

from __future__ import annotations

from typing import Any

import pytest
from making import RST

WANTED = """\
# The manual

Intro with `code`, a link and a site.

## First part

Be careful.

Example:

```
def f():
    return 1
```

```python
x = 2
```

- one
- two
"""


def test_sections_code_and_notes_are_kept(read: Any) -> None:
    (document,) = read("handbuch.rst", RST)
    assert document.text == WANTED
    assert document.title == "The manual"
    assert document.metadata == {"author": "Ann", "published": "2024-01-31"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A\n=\n\nB\n-\n\nx", "A\n=\n\nB\n-\n\nx"),
        ("Title\n=====\nx", "# Title\n\nx"),
        ("Über\n====\nx", "# Über\n\nx"),
        ("==\nAB\n==\n\nCD\n==\n\nx", "==\nAB\n==\n\nCD\n==\n\nx"),
        (
            "One\n===\n\nTwo\n----\n\nThree\n~~~~~\n\nFour\n----",
            "# One\n\n## Two\n\n### Three\n\n## Four",
        ),
        (".. image:: x.png\n   :alt: y\n\nz", "z"),
        (".. figure:: x.png\n   :alt: y\n\n   The caption.", "The caption."),
        (".. function:: f(x)\n   :noindex:\n\n   Does it.", "f(x)\n\nDoes it."),
        (".. a comment\n   goes on\n\nx", "x"),
        ("..\n   a comment\n\nx", "x"),
        (".. _target:\n\nx", "x"),
        (".. [1] A note.", "[1] A note."),
        (
            "===  ===\na    b\n===  ===\n1    2\n===  ===",
            "```\n===  ===\na    b\n===  ===\n1    2\n===  ===\n```",
        ),
        (">>> 1 + 1\n2", "```pycon\n>>> 1 + 1\n2\n```"),
        ("see `a b`_ and c_.", "see a b and c."),
        ("**bold** and **kwargs", "bold and **kwargs"),
        ("* one\n* two", "- one\n- two"),
        ("a\n\n----\n\nb", "a\n\nb"),
        ("x::\n\n  y\n\nz", "x:\n\n```\ny\n```\n\nz"),
        ("::\n\n  y", "```\ny\n```"),
    ],
)
def test_every_kind_of_block_has_its_form(read: Any, text: str, wanted: str) -> None:
    (document,) = read("x.rst", text.encode())
    if wanted != text:
        assert document.text == f"{wanted}\n"
    for word in ("x", "z", "caption"):
        assert (word in wanted) == (word in document.text)
