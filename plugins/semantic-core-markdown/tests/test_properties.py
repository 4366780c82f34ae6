"""What holds for any Markdown at all: nothing lost, nothing twice, nothing too long,
the same every time.
"""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from semantic_core_markdown import semantic_context, semantic_describe, semantic_split
from semantic_core_markdown.metadata import body_start

from semantic_core import Document, Ref
from semantic_core.testing import texts

WORDS = st.text(
    alphabet="abc é日 .,:;*_`[]()<>!#|\\-+=~&@\t\u0301\u200d🇩🇪\u2028\x0c\x00",
    min_size=1,
    max_size=60,
)
LINES = st.lists(WORDS, min_size=1, max_size=5)


def prefixed(first: str, rest: str) -> st.SearchStrategy[object]:
    """Puts marks in front of every line of a block."""

    def mark(block: str) -> str:
        head, *tail = block.split("\n")
        return "\n".join([first + head, *(rest + line if line else line for line in tail)])

    return st.just(mark)


BLOCKS = st.recursive(
    st.one_of(
        LINES.map("\n".join),
        st.tuples(st.integers(1, 7), WORDS).map(lambda part: f"{'#' * part[0]} {part[1]}"),
        st.tuples(WORDS, st.sampled_from(["===", "---", "--- ", " ="])).map("\n".join),
        st.tuples(
            st.sampled_from(["```", "~~~", "````py", "``` {.c}"]),
            LINES,
            st.sampled_from(["\n```", "\n~~~", ""]),
        ).map(lambda part: f"{part[0]}\n" + "\n".join(part[1]) + part[2]),
        LINES.map(lambda lines: "\n".join(f"    {line}" for line in lines)),
        LINES.map(
            lambda lines: "| a | b |\n|---|:-:|\n" + "\n".join(f"| {line} | x |" for line in lines)
        ),
        st.sampled_from(
            [
                "---",
                "* * *",
                "<div>",
                "</div>",
                "<!-- c",
                "-->",
                "<?php",
                "[ref]: /url 'title'",
                "[ref]:",
                "-",
                "",
            ]
        ),
        WORDS.map(lambda word: f"[{word}]: <{word}>"),
    ),
    lambda blocks: st.tuples(
        st.one_of(
            prefixed("> ", "> "),
            prefixed(">", ""),
            prefixed("- ", "  "),
            prefixed("10) ", "    "),
            prefixed("* [ ] ", "  "),
        ),
        st.lists(blocks, min_size=1, max_size=3).map("\n\n".join),
    ).map(lambda part: part[0](part[1])),
    max_leaves=6,
)
MARKDOWN = st.lists(st.one_of(BLOCKS, texts(max_size=80)), max_size=8).flatmap(
    lambda blocks: st.sampled_from(["\n\n", "\n", "\r\n\r\n", "\r", "\n \t\n"]).map(
        lambda between: between.join(blocks)
    )
)


def document(text: str) -> Document:
    return Document(Ref("notes", "1"), text, media_type="text/markdown")


@settings(max_examples=400, deadline=None)
@given(MARKDOWN, st.sampled_from([1, 3, 10, 30, 100, 1_000, 100_000]))
@example("> ```\na\n> b", 3)
@example("- " * 40 + "a\n\n# b", 10)
@example("\u2028\n===\n", 100)
@example("[a]: b\n\f\n[c]: d", 100)
def test_every_visible_character_is_in_exactly_one_chunk(text, max_chars) -> None:
    chunks = semantic_split(document=document(text), max_chars=max_chars)
    end = body_start(text)
    for position, chunk in enumerate(chunks):
        assert chunk.id.position == position
        assert text[end : chunk.start].strip() == ""
        assert chunk.text == text[chunk.start : chunk.end]
        assert 0 < len(chunk.text) <= max_chars
        assert chunk.text == chunk.text.rstrip()
        assert chunk.text.strip()
        assert chunk.kind in ("text", "code", "table", "list")
        end = chunk.end
    assert text[end:].strip() == ""


@settings(max_examples=150, deadline=None)
@given(MARKDOWN, st.sampled_from([20, 200, 2_000]))
def test_the_same_text_gives_the_same_chunks_and_passages(text, max_chars) -> None:
    def everything() -> object:
        described = semantic_describe(document=document(text))
        chunks = semantic_split(document=described, max_chars=max_chars)
        return described, chunks, semantic_context(document=described, chunks=chunks)

    assert everything() == everything()


@settings(max_examples=150, deadline=None)
@given(MARKDOWN, st.sampled_from([20, 200, 2_000]), st.text(max_size=20))
def test_every_chunk_has_a_passage_that_ends_with_its_text(text, max_chars, title) -> None:
    described = Document(Ref("notes", "1"), text, title, media_type="text/markdown")
    chunks = semantic_split(document=described, max_chars=max_chars)
    passages = semantic_context(document=described, chunks=chunks)
    assert len(passages) == len(chunks)
    for chunk, passage in zip(chunks, passages, strict=True):
        assert passage.endswith(chunk.text)
        assert len(passage) <= len(chunk.text) + 3 * 201


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=12))
def test_the_headings_of_a_chunk_are_those_above_it(sections) -> None:
    blocks, path, wanted = [], [], {}
    for number, (level, has_text) in enumerate(sections):
        blocks.append(f"{'#' * level} heading {number}")
        path = [(above, name) for above, name in path if above < level] + [
            (level, f"heading {number}")
        ]
        if has_text:
            blocks.append(f"text {number}.")
            wanted[f"text {number}."] = tuple(name for _, name in path)
    chunks = semantic_split(document=document("\n\n".join(blocks)), max_chars=1_000)
    found = {
        line: chunk.headings
        for chunk in chunks
        for line in chunk.text.split("\n")
        if line.startswith("text")
    }
    assert found == wanted
    for chunk in chunks:
        lines = [line.lstrip("# ") for line in chunk.text.split("\n") if line.startswith("#")]
        assert chunk.headings[-len(lines) :] == tuple(lines)
