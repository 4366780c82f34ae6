"""What a call answers: a text for the assistant, and the same as data for a program.

A text has at most the characters that the operator allows, and says so where something was cut.

Tested by tests/test_limits.py and tests/test_tools.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from semantic_core import Document, Ref, SearchHit, StoredChunk
from semantic_core_mcp.index import Found, VisibleIndex
from semantic_core_mcp.limits import MOST_TITLE, MOST_VALUE, Limits
from semantic_core_mcp.places import uri_of

FEWER = "Semantic search is not available at the moment; this is what full-text search found."
"""Said of an answer that full-text search gave alone, though more was asked for."""
PARTLY = "A part of the search did not work, so hits may be missing or in another order."
"""Said of any other answer that is less than was asked for."""
_END = 300
"""Characters that are kept for the last line of an answer."""
_LEAST = 200
"""Fewest characters of a passage that are worth showing, if it is longer."""


@attrs.frozen
class ToolAnswer:
    """text: for the assistant. data: the same for a program. failed: whether the call failed."""

    text: str
    data: Mapping[str, Any] = attrs.field(factory=dict)
    failed: bool = False


class Sheet:
    """The text of an answer, of at most `most` characters."""

    def __init__(self, most: int) -> None:
        self._parts: list[str] = []
        self._left = most

    @property
    def left(self) -> int:
        """How many characters still fit, in front of the last line."""
        return self._left - _END

    def write(self, text: str) -> None:
        """Add a line, cut where the sheet ends."""
        line = f"{text}\n"[: max(self._left, 0)]
        self._parts.append(line)
        self._left -= len(line)

    def text(self) -> str:
        """All of it."""
        return "".join(self._parts).rstrip("\n")


def of_search(found: Found, offset: int, index: VisibleIndex, limits: Limits) -> ToolAnswer:
    """The hits, best first; those that do not fit are left for the next call."""
    sheet = Sheet(limits.answer_chars)
    remark = ""
    if found.reason:
        remark = FEWER if found.mode == "text" else PARTLY
        sheet.write(remark)
    if not found.hits:
        sheet.write("Nothing was found.")
    hits: list[dict[str, Any]] = []
    for hit in found.hits:
        data = _hit(hit, index)
        head = _head(data, f"{offset + len(hits) + 1}.")
        room = min(limits.hit_chars, sheet.left - len(head))
        if hits and room < min(_LEAST, len(hit.text)):
            break
        data |= _passage(hit.text, max(room, 0))
        if hits:
            sheet.write("")
        hits.append(data)
        sheet.write(head)
        sheet.write(_body(data, hit.text))
    following = None
    if found.more or len(hits) < len(found.hits):
        following = offset + len(hits)
        sheet.write(f"There are more hits: call search again with offset={following}.")
    return ToolAnswer(
        sheet.text(),
        {
            "mode": found.mode,
            "degraded": bool(remark),
            "remark": remark,
            "hits": hits,
            "next_offset": following,
        },
    )


def of_document(document: Document, start: int, index: VisibleIndex, limits: Limits) -> ToolAnswer:
    """A document, or a part of it from `start` on, in characters."""
    sheet = Sheet(limits.answer_chars)
    data = _source(document.ref, document.title, index)
    data |= {
        "media_type": document.media_type,
        "language": document.language,
        "metadata": _metadata(document.metadata, index),
    }
    sheet.write(_head(data, "Document"))
    shown = document.text[start : start + max(sheet.left, 0)]
    end = start + len(shown)
    following = end if end < len(document.text) else None
    data |= {
        "start": start,
        "end": end,
        "characters": len(document.text),
        "text": shown,
        "cut": following is not None,
        "next_start": following,
    }
    sheet.write(shown)
    if following is not None:
        sheet.write(
            f"[cut: characters {start:,} to {end:,} of {len(document.text):,}; for the rest call "
            f"get again with start={following}]"
        )
    return ToolAnswer(sheet.text(), data)


def of_window(
    ref: Ref, chunks: Sequence[StoredChunk], position: int, index: VisibleIndex, limits: Limits
) -> ToolAnswer:
    """Passages in the order of the document. The nearest to the one that was asked for come first
    where not all of them fit.
    """
    sheet = Sheet(limits.answer_chars)
    first = chunks[0]
    data = _source(ref, first.title, index)
    sheet.write(_head(data, "Passages of"))
    rooms = _rooms(chunks, position, sheet.left, limits.hit_chars)
    passages: list[dict[str, Any]] = []
    for stored in chunks:
        chunk = stored.chunk
        if chunk.id.position not in rooms:
            continue
        passage = _place(chunk.id.position, chunk.start, chunk.end, chunk.headings)
        passage |= _passage(chunk.text, rooms[chunk.id.position])
        passages.append(passage)
        sheet.write(_heading(passage))
        sheet.write(_body(passage, chunk.text))
    if len(passages) < len(chunks):
        sheet.write(f"[cut: {len(chunks) - len(passages)} passages did not fit]")
    data |= {"position": position, "passages": passages, "cut": len(passages) < len(chunks)}
    return ToolAnswer(sheet.text(), data)


def _rooms(chunks: Sequence[StoredChunk], position: int, left: int, most: int) -> Mapping[int, int]:
    """How many characters each passage gets, the nearest first; those that do not fit are left
    out.
    """
    rooms: dict[int, int] = {}
    for stored in sorted(chunks, key=lambda stored: abs(stored.chunk.id.position - position)):
        chunk = stored.chunk
        head = _heading(_place(chunk.id.position, chunk.start, chunk.end, chunk.headings))
        left -= len(head) + _CUT_NOTE
        room = min(most, left)
        if rooms and room < min(_LEAST, len(chunk.text)):
            break
        rooms[chunk.id.position] = max(room, 0)
        left -= min(len(chunk.text), max(room, 0))
    return rooms


def of_collections(
    counts: Mapping[str, int], more: bool, index: VisibleIndex, limits: Limits
) -> ToolAnswer:
    """The collections with the number of documents that can be seen in each."""
    sheet = Sheet(limits.answer_chars)
    if not counts:
        sheet.write("There is no document.")
    collections: list[dict[str, Any]] = []
    for name, count in counts.items():
        documents = "1 document" if count == 1 else f"{count:,} documents"
        row = index.row_of(Ref(name, "any"))
        line = f"{name}: {documents}" + (f", rows of {row.model}" if row else "")
        if len(line) >= sheet.left:
            more = True
            break
        sheet.write(line)
        collections.append({"name": name, "documents": count, "model": row.model if row else None})
    if more:
        sheet.write("[cut: there are more collections]")
    return ToolAnswer(sheet.text(), {"collections": collections, "cut": more})


_CUT_NOTE = 80
"""Characters that are kept for the remark after a passage that was cut."""


def _hit(hit: SearchHit, index: VisibleIndex) -> dict[str, Any]:
    data = _source(hit.ref, hit.title, index)
    data |= _place(hit.position, hit.start, hit.end, hit.headings)
    data["metadata"] = _metadata(hit.metadata, index)
    return data


def _source(ref: Ref, title: str, index: VisibleIndex) -> dict[str, Any]:
    """Where a text is from."""
    row = index.row_of(ref)
    return {
        "uri": uri_of(ref),
        "collection": ref.collection,
        "key": ref.key,
        "title": _clipped(title, MOST_TITLE),
        "row": attrs.asdict(row) if row else None,
    }


def _place(position: int, start: int, end: int, headings: Sequence[str]) -> dict[str, Any]:
    """Where in its document a passage is. start, end: in characters."""
    path = _clipped(" > ".join(headings), MOST_TITLE)
    return {"position": position, "start": start, "end": end, "headings": path}


def _passage(text: str, room: int) -> dict[str, Any]:
    shown = text
    if len(text) > room:
        shown = text[: max(room - _CUT_NOTE, 0)]
    return {"text": shown, "cut": len(shown) < len(text)}


def _body(data: Mapping[str, Any], whole: str) -> str:
    """A passage with a remark if it was cut."""
    if not data["cut"]:
        return str(data["text"])
    return f"{data['text']}\n[cut: {len(data['text']):,} of {len(whole):,} characters]"


def _head(data: Mapping[str, Any], before: str) -> str:
    """The lines above a text that say where it is from."""
    title = " ".join(str(data["title"]).split()) or data["key"]
    lines = [f"{before} {title}", f"   {data['uri']}"]
    if "position" in data:
        lines.append(f"   {_where(data)}")
    row = data["row"]
    if row:
        lines.append(f"   row {row['key']} of {row['model']}, table {row['table']}")
    for key, value in (data.get("metadata") or {}).items():
        lines.append(f"   {key}: {value}")
    return "\n".join(lines)


def _heading(passage: Mapping[str, Any]) -> str:
    return f"-- {_where(passage)}"


def _where(passage: Mapping[str, Any]) -> str:
    place = f"passage {passage['position']}, characters {passage['start']}-{passage['end']}"
    headings = " ".join(str(passage["headings"]).split())
    return f"{place}, in {headings}" if headings else place


def _metadata(metadata: Mapping[str, Any], index: VisibleIndex) -> dict[str, Any]:
    """The metadata that the operator shows."""
    shown = {}
    for key in index.shown:
        if key in metadata:
            value = metadata[key]
            if isinstance(value, tuple):
                value = _clipped(", ".join(map(str, value)), MOST_VALUE)
            elif isinstance(value, str):
                value = _clipped(" ".join(value.split()), MOST_VALUE)
            shown[key] = value
    return shown


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
