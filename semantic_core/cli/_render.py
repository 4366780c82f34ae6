"""Search results for a terminal: each hit with its best lines, and query words highlighted.

Pure functions from records to rich texts; nothing is printed here. In order: whole results, one
hit, the excerpt of a passage, and the words to highlight.

Tested by tests/cli/test_render.py and tests/cli/test_marks.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from semantic_core.cli._output import counted, visible
from semantic_core.highlights import Span, merged
from semantic_core.marking import COMMON_WORDS

if TYPE_CHECKING:
    from rich.console import Console

    from semantic_core.types import Marker, SearchHit, SearchResults, StoredChunk


Find = Callable[[str], Sequence[Span]]
"""Finds what is highlighted in a text."""

LINES = 4
"""Most lines of a passage that are shown for each hit."""
MARK = "bold underline"
"""Style of a highlighted word."""
QUIET = "dim"
"""Style of what is less important than the passage."""

_SPACES = re.compile(r"\s+")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*\s*(?:\n|$)")
_FENCE = re.compile(r"\s*(```|~~~).*")


def hit_texts(
    results: SearchResults,
    *,
    width: int,
    first: int = 1,
    explain: bool = False,
    neighbours: Mapping[int, tuple[Sequence[StoredChunk], Sequence[StoredChunk]]] | None = None,
) -> Iterator[Text]:
    """The lines of all hits, with a blank line between two hits.

    first: number of the first hit. explain: add the score of each retriever, the steps of the
    ranking, and the metadata.
    neighbours: the chunks before and after a hit, by its position in the results; passages are then
    shown whole.
    """
    stems = wanted(results.corrected or results.query)
    indent = " " * (len(str(first + len(results) - 1)) + 2)
    for place, hit in enumerate(results):
        if place:
            yield Text()
        yield _headline(hit, f"{first + place}.".ljust(len(indent)), width)
        room = width - len(indent)
        find = partial(_spans, stems, hit.marker)
        if neighbours is None:
            yield from _indented(_excerpt(hit, find, room), indent)
        else:
            before, after = neighbours.get(place, ((), ()))
            yield from _indented(_in_context(hit, before, after, find, room), indent)
        yield from _indented(packed(_where(hit), room), indent)
        if explain:
            yield from _indented(_all_wrapped(_explained(hit), room), indent)


FUSE_BY = "fuse by "
"""Beginning of the names of times that are parts of the fusion."""


def summary(results: SearchResults, *, width: int, explain: bool = False) -> Iterator[Text]:
    """What was searched for instead of the query; the number of hits, the mode and the time of each
    step; then why a result is degraded. explain: with the steps of the fusion.
    """
    if results.corrected is not None:
        asked = f"“{visible(results.query)}”"
        text = Text(f"Searched for “{visible(results.corrected)}” instead of {asked}.")
        yield from _wrapped(text, width)
    if results.did_you_mean is not None:
        yield from _wrapped(Text(f"Did you mean “{visible(results.did_you_mean)}”?"), width)
    parts = [counted(len(results), "hit"), f"{results.mode} search"]
    timings = results.timings
    if not explain:
        timings = {step: spent for step, spent in timings.items() if not step.startswith(FUSE_BY)}
    time = _time(timings)
    if time:
        parts.append(time)
    yield from packed(parts, width)
    if results.degraded:
        text = Text().append("Degraded: ", "bold yellow").append(f"{squeezed(results.reason)}.")
        yield from _wrapped(text, width)


def _time(timings: Mapping[str, float]) -> str:
    """The total time, and that of each step that took a measurable time."""
    steps = []
    for step, spent in timings.items():
        if step != "total" and spent >= 0.05:
            steps.append(f"{step} {milliseconds(spent)}")
    details = f"({', '.join(steps)})" if steps else ""
    if "total" not in timings:
        return details
    return f"{milliseconds(timings['total'])} ms {details}".rstrip()


def milliseconds(spent: float) -> str:
    """Milliseconds, rounded for reading: 0.4, 12, 340."""
    return f"{spent:.1f}" if spent < 10 else f"{spent:,.0f}"


def squeezed(text: str) -> str:
    """The text on one line, safe for a terminal."""
    return visible(_SPACES.sub(" ", text).strip())


def _headline(hit: SearchHit, number: str, width: int) -> Text:
    path = [squeezed(part) for part in hit.headings]
    title = squeezed(hit.title) or squeezed(hit.ref.key)
    if path and path[0] == title:
        path = path[1:]
    text = Text().append(f"{number}{title}", "bold")
    for part in path:
        text.append(" › ", QUIET)
        text.append(part)
    text.truncate(width, overflow="ellipsis")
    return text


def _where(hit: SearchHit) -> list[str]:
    retrievers = [f"{visible(source)} #{rank}" for source, rank in hit.ranks.items()]
    return [
        squeezed(str(hit.ref)),
        f"characters {hit.start:,}–{hit.end:,}",
        f"score {hit.score:.3f}",
        *retrievers,
    ]


def packed(parts: Sequence[str], room: int) -> list[Text]:
    """The parts with " · " between them, in as few lines as possible.

    A line breaks within a part only if the part is longer than a line.
    """
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and cell_len(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(part)
    return _all_wrapped([Text(line, QUIET) for line in lines], room)


def _explained(hit: SearchHit) -> list[Text]:
    """A line for each retriever that found the hit, one for the words of the query that it has, one
    for what each step of the ranking added, and one for the metadata.
    """
    names = {source: visible(source) for source in hit.ranks}
    wide = max(map(len, names.values()), default=0)
    lines = []
    for source, rank in hit.ranks.items():
        score = f"{hit.scores.get(source, 0.0):#.4g}"
        lines.append(Text(f"{names[source].ljust(wide)}  rank {rank:>4,}  score {score}", QUIET))
    for line in hit.explain()[len(hit.ranks) :]:
        lines.append(Text(visible(line), QUIET))
    if hit.parts:
        added = ", ".join(f"{step} {value:+.2f}" for step, value in hit.parts.items())
        lines.append(Text(visible(f"ranking: {added}; score {hit.score:.3f}"), QUIET))
    if hit.metadata:
        pairs = [f"{key}={_value(value)}" for key, value in hit.metadata.items()]
        lines.append(Text(visible(", ".join(pairs)), QUIET))
    return lines


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _excerpt(hit: SearchHit, find: Find, room: int) -> list[Text]:
    """The best lines of a passage, at most LINES."""
    if hit.kind != "text":
        lines = []
        for line in _lines(_body(hit), find):
            if line.plain and not _FENCE.fullmatch(line.plain):
                lines.append(line)
        return _best_lines(_all_wrapped(lines, room - 2))
    text = squeezed(_body(hit))
    piece, marks = excerpt(text, find(text), room * LINES)
    lines = _wrapped(_marked(piece, marks), room)
    if len(lines) > LINES:
        lines = lines[:LINES]
        lines[-1].rstrip()
        lines[-1].truncate(room - 1)
        lines[-1].append("…")
    return lines


def _lines(text: str, find: Find) -> list[Text]:
    """The lines of code, a table or a list, highlighted."""
    lines = []
    for line in visible(text.strip("\r\n"), lines=True).split("\n"):
        plain = line.rstrip()
        lines.append(_marked(plain, find(plain)))
    return lines


def _best_lines(lines: list[Text]) -> list[Text]:
    """The LINES consecutive lines with the most marks, "…" where lines were left out.

    Of equals, those with one line before the first mark, and then the first ones.
    """

    def rating(start: int) -> tuple[int, int, int]:
        marks = [len(line.spans) for line in lines[start : start + LINES]]
        first = 0
        while first < len(marks) and not marks[first]:
            first += 1
        if first == len(marks):
            first = 0
        return sum(marks), -abs(first - 1), -start

    best = max(range(max(1, len(lines) - LINES + 1)), key=rating)
    shown = lines[best : best + LINES]
    if best > 0 and shown:
        shown[0] = Text("… ").append_text(shown[0])
    if best + LINES < len(lines):
        shown[-1].append(" …")
    return shown


def _in_context(
    hit: SearchHit,
    before: Sequence[StoredChunk],
    after: Sequence[StoredChunk],
    find: Find,
    room: int,
) -> list[Text]:
    """The whole passage with its neighbours, a blank line between two passages."""
    lines = []
    for stored in before:
        lines += [*_neighbour(stored, room), Text()]
    lines += _whole(_body(hit), hit.kind, find, room)
    for stored in after:
        lines += [Text(), *_neighbour(stored, room)]
    return lines


def _neighbour(stored: StoredChunk, room: int) -> list[Text]:
    return _whole(stored.chunk.text, stored.chunk.kind, _nothing, room, QUIET)


def _body(hit: SearchHit) -> str:
    """The passage without its first heading, if that is shown above it already."""
    heading = _HEADING.match(hit.text)
    if heading is None or heading[1] not in (hit.title, *hit.headings[-1:]):
        return hit.text
    return hit.text[heading.end() :] or hit.text


def _whole(text: str, kind: str, find: Find, room: int, style: str = "") -> list[Text]:
    if kind == "text":
        plain = squeezed(text)
        lines = _wrapped(_marked(plain, find(plain)), room)
    else:
        lines = _all_wrapped(_lines(text, find), room)
    for line in lines:
        line.stylize(style)
    return lines


def _marked(text: str, marks: Sequence[Span]) -> Text:
    marked = Text(text)
    for start, end in marks:
        marked.stylize(MARK, start, end)
    return marked


def _wrapped(text: Text, room: int) -> list[Text]:
    """The text in lines of at most `room` columns; wide characters count two."""
    lines = list(text.wrap(_measure(), room))
    for line in lines:
        line.rstrip()
    return lines or [Text()]


def _all_wrapped(lines: Iterable[Text], room: int) -> list[Text]:
    wrapped = []
    for line in lines:
        wrapped += _wrapped(line, room)
    return wrapped


@cache
def _measure() -> Console:
    """The console that rich needs for wrapping; nothing is printed to it."""
    from rich.console import Console

    return Console(force_terminal=False)


def _indented(lines: Sequence[Text], indent: str) -> Iterator[Text]:
    for line in lines:
        yield Text(indent).append_text(line)


# The excerpt of a passage

_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_MOST_MARKS = 200
"""Marks that are considered when the best part of a passage is chosen."""


def excerpt(text: str, marks: Sequence[Span], room: int) -> tuple[str, list[Span]]:
    """The part of a text with the most different marked words, and the marks in it.

    At most `room` characters, plus "…" where the text was cut. marks: (start, end) in the text, in
    order.
    """
    if len(text) <= room:
        return text, list(marks)
    start = _best_start(text, marks[:_MOST_MARKS], room)
    end = min(len(text), start + room)
    if end < len(text) and not text[end].isspace():
        end = max(text.rfind(" ", start + room // 2, end), 0) or end
    head = "…" if start > 0 else ""
    tail = "…" if end < len(text) else ""
    body = text[start:end].rstrip()
    shift = len(head) - start
    shown_marks = []
    for mark_start, mark_end in marks:
        if mark_start >= start and mark_end <= start + len(body):
            shown_marks.append((mark_start + shift, mark_end + shift))
    return head + body + tail, shown_marks


def _best_start(text: str, marks: Sequence[Span], room: int) -> int:
    """Where to begin: shortly before the mark that the most different marks follow.

    Begins at a sentence if there is one, else at a word.
    """
    best = 0
    most = (0, 0)
    for first, _ in marks:
        begin = max(0, min(first - room // 5, len(text) - room))
        within = _marked_words(text, marks, begin, begin + room)
        counts = (len(set(within)), len(within))
        if counts > most:
            best = begin
            most = counts
    if best == 0:
        return 0
    limit = best + room // 5
    for first, _ in marks:
        if first >= best:
            limit = first
            break
    sentence = _SENTENCE.search(text, best, limit + 1)
    if sentence and sentence.end() <= limit:
        return sentence.end()
    word = text.find(" ", best, limit)
    return word + 1 if word >= 0 else best


def _marked_words(text: str, marks: Sequence[Span], begin: int, end: int) -> list[str]:
    """The marked words that are completely within text[begin:end], in lower case."""
    return [text[a:b].casefold() for a, b in marks if a >= begin and b <= end]


# The words to highlight
#
# Words of a passage that are also in the query, ignoring case, accents and common English endings.
# This only highlights; it has no effect on which passages are found.

_VOWELS = frozenset("aeiouy")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts written without spaces between words: there a word is searched for as a string."""


def fold(word: str) -> str:
    """The word in lower case and without accents."""
    folded = unicodedata.normalize("NFKD", word).casefold()
    decomposed = unicodedata.normalize("NFKD", folded)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def stem(word: str) -> str:
    """The stem of an English word: "repeat" for repeating, repeated, repeats.

    Other words are only folded.
    """
    folded = fold(word)
    return _without_ending(folded) if folded.isascii() and folded.isalpha() else folded


def _without_ending(word: str) -> str:
    """A lower-case English word without the common endings -s, -es, -ies, -ed, -ied, -ing, -e."""
    if len(word) > 3:
        if word.endswith(("ies", "ied")):
            word = word[:-3] + "y"
        elif word.endswith("es") and word[:-2].endswith(("s", "x", "z", "ch", "sh")):
            word = word[:-2]
        elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
    for ending in ("ing", "ed"):
        left = word.removesuffix(ending)
        if left == word or len(left) < 2 or left.endswith("e"):
            continue
        if _VOWELS.isdisjoint(left):
            continue
        doubled = left[-1] == left[-2] and left[-1] not in "lsz"
        word = left[:-1] if doubled else left
        break
    return word[:-1] if len(word) > 2 and word.endswith("e") else word


def words(text: str) -> Iterator[tuple[int, int]]:
    """The position of each word as (start, end): letters and digits, with combining accents."""
    start: int | None = None
    for place, char in enumerate(text):
        if char.isalnum():
            start = place if start is None else start
        elif start is not None and unicodedata.category(char)[0] == "M":
            continue
        elif start is not None:
            yield start, place
            start = None
    if start is not None:
        yield start, len(text)


def _spans(stems: frozenset[str], marker: Marker | None, text: str) -> tuple[Span, ...]:
    """What is highlighted in a text: English words in any form, and what the hit itself marks."""
    marked = () if marker is None else marker.spans(text)
    return merged([*matches(stems, text), *marked])


def _nothing(text: str) -> tuple[Span, ...]:
    """No highlights, for passages around a hit."""
    return ()


def wanted(query: str) -> frozenset[str]:
    """The stems of the query's words that are highlighted.

    Stop words such as "how" and "to" are included only in a query of nothing else.
    """
    found = [query[start:end] for start, end in words(query)]
    content_words = [word for word in found if fold(word) not in COMMON_WORDS]
    return frozenset(map(stem, content_words or found))


def matches(stems: Iterable[str], text: str) -> list[tuple[int, int]]:
    """The words of the text with one of these stems, as (start, end), in order, without overlap."""
    all_stems = frozenset(stems)
    unspaced = [word for word in all_stems if _UNSPACED.search(word)]
    found = []
    for start, end in words(text):
        word = text[start:end]
        if stem(word) in all_stems:
            found.append((start, end))
        elif unspaced and _UNSPACED.search(word):
            for match_start, match_end in _inside(unspaced, word):
                found.append((start + match_start, start + match_end))
    return found


def _inside(wanted_words: Iterable[str], word: str) -> Iterator[tuple[int, int]]:
    """Where the wanted words are in a run without spaces, as (start, end), without overlap.

    Of two that begin at the same place, the longer one counts.
    """
    longest_first = sorted(wanted_words, key=len, reverse=True)
    for match in re.finditer("|".join(map(re.escape, longest_first)), word.casefold()):
        if match.end() <= len(word):
            yield match.span()
