"""Plain text: cut into chunks, put into context, and named by what it says. Pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from semantic_core.types import Chunk, ChunkId, Document, Space

MAX_CONTEXT = 200
"""Longest title or heading path put in front of a passage, in characters;
more would drown what the passage says.
"""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]]*\s|[。！？]")
_SPACE = re.compile(r"\s")
_EARLY = 0.3
"""A paragraph or sentence that ends before this part of the room is passed over for a finer cut:
no crumbs.
"""
_CLUSTER = 16
"""How far a cut goes back, at most, to keep a letter and its combining marks together."""
_JOINERS = "\u200d\ufe0e\ufe0f"


def fingerprints(space: Space, passages: Iterable[str], tenant: str = "") -> Iterator[str]:
    """For each passage of this tenant 32 hex digits naming it in this space: the key of its vector.

    The same passage has another name with each tenant. So whether a vector is there, waits, is with
    a job or is paid for never tells one tenant what another holds. BLAKE2b, 128 bits.
    """
    settings = "\x1f".join(f"{key}={value}" for key, value in space.settings.items())
    identity = "\x1e".join(
        [space.model, str(space.dimensions), space.task, space.revision, settings, ""]
    )
    owner = blake2b(tenant.encode("utf-8")).digest() if tenant else b""
    begun = blake2b(identity.encode("utf-8"), digest_size=16, key=owner)
    for passage in passages:
        name = begun.copy()
        name.update(passage.encode("utf-8"))
        yield name.hexdigest()


def split_text(document: Document, max_chars: int) -> list[Chunk]:
    """Chunks of at most `max_chars` characters, cut at paragraphs, else at sentences,
    else between words, else anywhere.

    White space at the edges of a chunk belongs to none; every other character is in exactly one.
    Blank text gives [].
    """
    spans = cut(document.text, 0, len(document.text), max_chars)
    return [
        Chunk(ChunkId(document.ref, position), document.text[start:end], start, end)
        for position, (start, end) in enumerate(spans)
    ]


def cut(text: str, start: int, end: int, limit: int) -> Iterator[tuple[int, int]]:
    """Spans (start, end) of at most `limit` characters that cover text[start:end] but for white
    space, in order.
    """
    while True:
        while start < end and text[start].isspace():
            start += 1
        if start >= end:
            return
        stop = end if end - start <= limit else _stop(text, start, limit)
        last = stop
        while text[last - 1].isspace():
            last -= 1
        yield start, last
        start = stop


def _stop(text: str, start: int, limit: int) -> int:
    """Where the chunk that begins at `start`, and has more text behind it than fits,
    had better end.
    """
    window = text[start : start + limit + 1]
    for pattern in (_PARAGRAPH, _SENTENCE):
        ends = [match.end() for match in pattern.finditer(window) if match.end() <= limit]
        if ends and ends[-1] > limit * _EARLY:
            return start + ends[-1]
    spaces = [match.start() for match in _SPACE.finditer(window)]
    if spaces and spaces[-1] > 0:
        return start + spaces[-1]
    stop = start + limit
    for back in range(min(_CLUSTER, limit - 1)):
        following = text[stop - back]
        joined = (
            unicodedata.combining(following)
            or following in _JOINERS
            or text[stop - back - 1] == "\u200d"
        )
        if not joined:
            return stop - back
    return stop


def passages(document: Document, chunks: Sequence[Chunk]) -> list[str]:
    """What each chunk is embedded with: the title and the heading path,
    each on a line of its own, then the text.

    The title is there even where the text begins with it: what a document is called says more than
    any other words of it.
    """
    return [_passage(document.title, chunk) for chunk in chunks]


def _passage(title: str, chunk: Chunk) -> str:
    text = chunk.text
    lines = [title.strip()]
    if chunk.headings:
        lines.append(" > ".join(chunk.headings))
    return "\n".join([*(line[:MAX_CONTEXT] for line in lines if line), text])
