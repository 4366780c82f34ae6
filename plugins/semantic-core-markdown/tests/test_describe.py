"""Title and language of a document that was given none."""

from __future__ import annotations

import pytest
import semantic_core_markdown
from semantic_core_markdown import semantic_context, semantic_describe, semantic_split
from semantic_core_markdown.metadata import first_heading

from semantic_core import Document, Ref


def title(text: str, **given: object) -> str:
    document = Document(Ref("notes", "1"), text, media_type="text/markdown", **given)
    return semantic_describe(document=document).title


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# A **title** here\n\ntext", "A **title** here".replace("*", "")),
        ("Text\n\n## Two\n\n# One\n", "One"),
        ("Underlined\n===\n", "Underlined"),
        ("Over\ntwo lines\n===\n", "Over two lines"),
        ("#\n\n# Second\n", "Second"),
        ("```sh\n# a comment\n```\n\n# Title\n", "Title"),
        ("```sh\n" + "# a comment\n" * 500 + "```\n\n# Title\n" + "# Other\n" * 500, "Title"),
        ("<!--\n# hidden\n-->\n\n# Title", "Title"),
        ("    # code\n\n# Title", "Title"),
        ("> # quoted\n\n- # item\n\n# Title", "Title"),
        ("# not | a title\n|---|---|\n\n# Title", "Title"),
        ("```\n===\n# x", ""),
        ("#hashtag\n\ntext", ""),
        ("no heading\n\n## only level two", ""),
        ("\ufeff# Title\n", "Title"),
        ("# Title\rtext", "Title"),
        ("---\nname: x\n---\n# Title", "Title"),
        ("---\ntitle: From above\n---\n# Title", "From above"),
        ("---\ntitle: 42\n---\n", "42"),
        ("---\ntitle:\n---\n# Title", "Title"),
        ("---\ntitle: [a, b]\n---\n# Title", "Title"),
        ("", ""),
    ],
)
def test_the_title_is_that_of_the_front_matter_else_the_first_heading_of_level_one(
    text, wanted
) -> None:
    assert title(text) == wanted


def test_a_title_that_was_given_stays() -> None:
    assert title("# Theirs", title="Mine") == "Mine"


def test_a_document_that_says_nothing_of_itself_stays_as_it_is() -> None:
    document = Document(Ref("notes", "1"), "text", media_type="text/markdown")
    assert semantic_describe(document=document) is document


@pytest.mark.parametrize(
    "media_type", ["text/markdown", "text/x-markdown", "Text/Markdown; charset=utf-8; variant=GFM"]
)
def test_markdown_is_taken_by_any_of_its_names(media_type) -> None:
    document = Document(Ref("notes", "1"), "# Title", media_type=media_type)
    assert semantic_describe(document=document).title == "Title"
    chunks = semantic_split(document=document, max_chars=100)
    assert semantic_context(document=document, chunks=chunks) == ["# Title"]


@pytest.mark.parametrize("media_type", ["text/plain", "text/html", "text/markdown-like"])
def test_everything_else_is_left_to_others(media_type) -> None:
    document = Document(Ref("notes", "1"), "# Title", media_type=media_type)
    assert semantic_describe(document=document) is None
    assert semantic_split(document=document, max_chars=100) is None
    assert semantic_context(document=document, chunks=[]) is None


def test_every_function_named_like_a_hook_is_one() -> None:
    from semantic_core.hookspecs import PREFIX, PROJECT, hook_names

    named = [
        name
        for name in vars(semantic_core_markdown)
        if name.startswith(PREFIX) and "core" not in name
    ]
    assert (
        set(named)
        == {"semantic_readers", "semantic_describe", "semantic_split", "semantic_context"}
        <= set(hook_names())
    )
    assert all(hasattr(getattr(semantic_core_markdown, name), f"{PROJECT}_impl") for name in named)


def test_a_title_sees_link_definitions_that_come_later() -> None:
    text = (
        "# Name [![Build][image]][page]\n\nText.\n\n[image]: a.svg\n[page]: https://example.org\n"
    )
    assert first_heading(text) == "Name Build"


@pytest.mark.parametrize(
    "text",
    ["#\n\n# Second", "#  \nx\n\n# Second", "<!-- # No -->\n\n# Second", "    # No\n\nSecond\n="],
)
def test_the_title_is_the_first_heading_that_says_anything(text: str) -> None:
    assert first_heading(text) == "Second"
