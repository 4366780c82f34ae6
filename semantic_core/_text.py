"""Plain text as pure functions: `split_text` splits it into chunks, `passages` adds their context,
and `fingerprints` names passages.

Tested by tests/kernel/test_text.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from semantic_core.types import Chunk, ChunkId, Document, Space

MAX_CONTEXT = 200
"""Longest title or heading path in front of a passage, in characters, so that the text of the
passage prevails.
"""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]]*\s|[。！？]")
_SPACE = re.compile(r"\s")
_EARLY = 0.3
"""A paragraph or sentence that ends before this part of the limit is not used as a cut, because the
chunk would be very short.
"""
_CLUSTER = 16
"""Most characters that a cut moves back to keep a letter and its combining marks together."""
_JOINERS = "\u200d\ufe0e\ufe0f"


def fingerprints(space: Space, passages: Iterable[str], tenant: str = "") -> list[str]:
    """The fingerprint of each passage of a tenant: 32 hex digits, the key of its vector.

    The same passage has another fingerprint for each tenant, so the state of a vector (stored,
    pending, in a job, paid for) shows no tenant what texts another has. BLAKE2b, 128 bits.
    """
    settings = "\x1f".join(map("=".join, space.settings.items()))
    identity = "\x1e".join(
        [space.model, str(space.dimensions), space.task, space.revision, settings, ""]
    )
    owner = blake2b(tenant.encode("utf-8")).digest() if tenant else b""
    begun = blake2b(identity.encode("utf-8"), digest_size=16, key=owner)
    names: list[str] = []
    for passage in passages:
        name = begun.copy()
        name.update(passage.encode("utf-8"))
        names.append(name.hexdigest())
    return names


def split_text(document: Document, max_chars: int) -> list[Chunk]:
    """Chunks of at most `max_chars` characters, split at paragraphs, else at sentences, else
    between words, else anywhere.

    White space at the edges of a chunk is in no chunk; every other character is in exactly one.
    Returns [] for blank text.
    """
    ref = document.ref
    text = document.text
    chunks: list[Chunk] = []
    for start, end in cut(text, 0, len(text), max_chars):
        chunks.append(Chunk(ChunkId(ref, len(chunks)), text[start:end], start, end))
    return chunks


def cut(text: str, start: int, end: int, limit: int) -> Iterator[tuple[int, int]]:
    """Spans (start, end) of at most `limit` characters that cover text[start:end] without white
    space at their edges, in order.
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
    """The best end of a chunk that begins at `start`, if more text follows than fits."""
    window = text[start : start + limit + 1]
    for pattern in (_PARAGRAPH, _SENTENCE):
        last = 0
        for match in pattern.finditer(window):
            if match.end() <= limit:
                last = match.end()
        if last > limit * _EARLY:
            return start + last
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
    """The passage of each chunk: the title and the heading path, each on a line of its own, then
    the text.

    The title is included even if the text begins with it, because it says most about a document.
    """
    return [_passage(document.title, chunk) for chunk in chunks]


def _passage(title: str, chunk: Chunk) -> str:
    text = chunk.text
    lines = []
    for line in (title.strip(), " > ".join(chunk.headings)):
        if line:
            lines.append(line[:MAX_CONTEXT])
    return "\n".join([*lines, text])
