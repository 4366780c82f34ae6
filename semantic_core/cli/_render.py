"""Search answers the way a person reads them.

Pure functions: records in, rich texts out; nothing is printed here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from semantic_core.cli._output import counted, visible

if TYPE_CHECKING:
    from rich.console import Console

    from semantic_core.types import SearchHit, SearchResults, StoredChunk


# The part of a long passage that is worth a reader's few lines.

_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_MOST_MARKS = 200
"""Marks looked at when the best part of a passage is chosen;
a passage with more shows them anywhere.
"""

Span = tuple[int, int]
"""Start and end in a text."""


def excerpt(text: str, marks: Sequence[Span], room: int) -> tuple[str, list[Span]]:
    """At most `room` characters of the text, where it holds the most different marked words;
    "…" where it was cut.

    marks: (start, end) in the text, in order. Returns the piece and the marks in it.
    """
    if len(text) <= room:
        return text, list(marks)
    start = _best_start(text, marks[:_MOST_MARKS], room)
    end = min(len(text), start + room)
    if end < len(text) and not text[end].isspace():
        end = max(text.rfind(" ", start + room // 2, end), 0) or end
    head = "…" * (start > 0)
    tail = "…" * (end < len(text))
    body = text[start:end].rstrip()
    shift = len(head) - start
    kept = [(a + shift, b + shift) for a, b in marks if a >= start and b <= start + len(body)]
    return head + body + tail, kept


def _best_start(text: str, marks: Sequence[Span], room: int) -> int:
    """Where to begin: at a sentence, else a word, shortly before the mark with the most different
    marks behind it.
    """
    best = 0
    value = (0, 0)
    for first, _ in marks:
        begin = max(0, min(first - room // 5, len(text) - room))
        within = [text[a:b].casefold() for a, b in marks if a >= begin and b <= begin + room]
        if (len(set(within)), len(within)) > value:
            best = begin
            value = (len(set(within)), len(within))
    if best == 0:
        return 0
    limit = next((a for a, _ in marks if a >= best), best + room // 5)
    sentence = _SENTENCE.search(text, best, limit + 1)
    if sentence and sentence.end() <= limit:
        return sentence.end()
    word = text.find(" ", best, limit)
    return word + 1 if word >= 0 else best


# Which words of a passage are words of the query: case, accents and common English endings aside.
#
# This marks what a reader looks for; it takes no part in finding. A mark too many or too few
# changes no answer.

_VOWELS = frozenset("aeiouy")
_COMMON = """a an and are as at be been but by can could did do does for from had has have how i
if in into is it its me my no not of on or our shall should so some such than that the their them
then there these they this those to too us was we were what when where which who whom whose why will
with would you your"""
_STOP_WORDS = frozenset(_COMMON.split())
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts written without spaces between words: there a word is looked for as a string."""


def fold(word: str) -> str:
    """The word without case and accents."""
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return "".join(char for char in spread if not unicodedata.combining(char))


def stem(word: str) -> str:
    """What the forms of an English word share: "repeat" for repeating, repeated, repeats.

    Other words come back folded.
    """
    folded = fold(word)
    return _ending_off(folded) if folded.isascii() and folded.isalpha() else folded


def _ending_off(word: str) -> str:
    if len(word) > 3:
        if word.endswith(("ies", "ied")):
            word = word[:-3] + "y"
        elif word.endswith("es") and word[:-2].endswith(("s", "x", "z", "ch", "sh")):
            word = word[:-2]
        elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
    for ending in ("ing", "ed"):
        left = word.removesuffix(ending)
        if (
            left != word
            and len(left) > 1
            and not left.endswith("e")
            and not _VOWELS.isdisjoint(left)
        ):
            word = left[:-1] if left[-1] == left[-2] and left[-1] not in "lsz" else left
            break
    return word[:-1] if len(word) > 2 and word.endswith("e") else word


def words(text: str) -> Iterator[tuple[int, int]]:
    """Where each word is, as (start, end): letters and digits with the accents that
    belong to them.
    """
    start: int | None = None
    for place, char in enumerate(text):
        if char.isalnum() or (start is not None and unicodedata.category(char)[0] == "M"):
            start = place if start is None else start
        elif start is not None:
            yield start, place
            start = None
    if start is not None:
        yield start, len(text)


def wanted(query: str) -> frozenset[str]:
    """The stems worth marking.

    Words such as "how" and "to" count only in a query that has no others.
    """
    found = [query[start:end] for start, end in words(query)]
    telling = [word for word in found if fold(word) not in _STOP_WORDS]
    return frozenset(stem(word) for word in telling or found)


def matches(stems: Iterable[str], text: str) -> list[tuple[int, int]]:
    """Where the text holds a word of these stems, as (start, end), in order, without overlap."""
    plain = frozenset(stems)
    unspaced = [word for word in plain if _UNSPACED.search(word)]
    found = []
    for start, end in words(text):
        word = text[start:end]
        if stem(word) in plain:
            found.append((start, end))
        elif unspaced and _UNSPACED.search(word):
            found += [(start + at, start + at + length) for at, length in _inside(unspaced, word)]
    return found


def _inside(wanted_words: Iterable[str], word: str) -> Iterator[tuple[int, int]]:
    """Places of the wanted words in an unspaced run, longest first, without overlap:
    (offset, length).
    """
    pattern = "|".join(re.escape(each) for each in sorted(wanted_words, key=len, reverse=True))
    for match in re.finditer(pattern, word.casefold()):
        if match.end() <= len(word):
            yield match.start(), match.end() - match.start()


LINES = 4
"""Lines of a passage shown of each hit."""
MARK = "bold underline"
QUIET = "dim"

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
    """A block of lines per hit, a blank line between them.

    first: number of the first hit. neighbours: by place in the results, the chunks before and
    after; then passages are shown whole.
    """
    stems = wanted(results.query)
    indent = " " * (len(str(first + len(results) - 1)) + 2)
    for place, hit in enumerate(results):
        if place:
            yield Text()
        yield _headline(hit, f"{first + place}.".ljust(len(indent)), width)
        room = width - len(indent)
        if neighbours is None:
            yield from _indented(_excerpt(hit, stems, room), indent)
        else:
            before, after = neighbours.get(place, ((), ()))
            yield from _indented(_in_context(hit, before, after, stems, room), indent)
        yield from _indented(packed(_where(hit), room), indent)
        if explain:
            yield from _indented(
                [piece for line in _explained(hit) for piece in _wrapped(line, room)], indent
            )


def summary(results: SearchResults, *, width: int) -> Iterator[Text]:
    """How many, in which mode, how long each step took; below it,
    what was missing from a degraded answer.
    """
    steps = [
        f"{step} {milliseconds(spent)}"
        for step, spent in results.timings.items()
        if step != "total" and spent >= 0.05
    ]
    time = f"{milliseconds(results.timings['total'])} ms" if "total" in results.timings else ""
    time += f" ({', '.join(steps)})" if steps else ""
    yield from packed(
        [counted(len(results), "hit"), f"{results.mode} search", *filter(None, [time.strip()])],
        width,
    )
    if results.degraded:
        text = Text().append("Degraded: ", "bold yellow").append(f"{squeezed(results.reason)}.")
        yield from _wrapped(text, width)


def milliseconds(spent: float) -> str:
    """Three figures are enough to read: 0.4, 12, 340."""
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
    """The parts with " · " between them, in as few lines as they fit in;
    a line ends between two parts where it can.
    """
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and cell_len(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(part)
    return [piece for line in lines for piece in _wrapped(Text(line, QUIET), room)]


def _explained(hit: SearchHit) -> list[Text]:
    names = [visible(source) for source in hit.ranks]
    wide = max((len(name) for name in names), default=0)
    lines = [
        Text(
            f"{name.ljust(wide)}  place {rank:>4,}  score {hit.scores.get(source, 0.0):#.4g}", QUIET
        )
        for name, (source, rank) in zip(names, hit.ranks.items(), strict=True)
    ]
    if hit.metadata:
        told = ", ".join(f"{key}={_value(value)}" for key, value in hit.metadata.items())
        lines.append(Text(visible(told), QUIET))
    return lines


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _excerpt(hit: SearchHit, stems: frozenset[str], room: int) -> list[Text]:
    if hit.kind != "text":
        lines = [
            line
            for line in _lines(_body(hit), stems)
            if line.plain and not _FENCE.fullmatch(line.plain)
        ]
        return _best_lines([piece for line in lines for piece in _wrapped(line, room - 2)])
    text = squeezed(_body(hit))
    piece, marks = excerpt(text, matches(stems, text), room * LINES)
    lines = _wrapped(_marked(piece, marks), room)
    if len(lines) > LINES:
        lines = lines[:LINES]
        lines[-1].rstrip()
        lines[-1].truncate(room - 1)
        lines[-1].append("…")
    return lines


def _lines(text: str, stems: frozenset[str]) -> list[Text]:
    """The text line by line, as code, tables and lists are read."""
    lines = visible(text.strip("\r\n"), lines=True).split("\n")
    return [_marked(line.rstrip(), matches(stems, line.rstrip())) for line in lines]


def _best_lines(lines: list[Text]) -> list[Text]:
    """LINES neighbouring lines that hold the most marks, with one line before the first;
    "…" where others were left out.
    """

    def value(start: int) -> tuple[int, int, int]:
        marks = [len(line.spans) for line in lines[start : start + LINES]]
        first = next((row for row, count in enumerate(marks) if count), 0)
        return sum(marks), -abs(first - 1), -start

    best = max(range(max(1, len(lines) - LINES + 1)), key=value)
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
    stems: frozenset[str],
    room: int,
) -> list[Text]:
    blocks = [
        *(
            _whole(stored.chunk.text, stored.chunk.kind, frozenset(), room, QUIET)
            for stored in before
        ),
        _whole(_body(hit), hit.kind, stems, room),
        *(
            _whole(stored.chunk.text, stored.chunk.kind, frozenset(), room, QUIET)
            for stored in after
        ),
    ]
    return [line for block in blocks for line in (Text(), *block)][1:]


def _body(hit: SearchHit) -> str:
    """The passage without a heading line of its own, which stands above it already."""
    heading = _HEADING.match(hit.text)
    if heading is None or heading[1] not in (hit.title, *hit.headings[-1:]):
        return hit.text
    return hit.text[heading.end() :] or hit.text


def _whole(text: str, kind: str, stems: frozenset[str], room: int, style: str = "") -> list[Text]:
    if kind == "text":
        plain = squeezed(text)
        lines = _wrapped(_marked(plain, matches(stems, plain)), room)
    else:
        lines = [piece for line in _lines(text, stems) for piece in _wrapped(line, room)]
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


@cache
def _measure() -> Console:
    """What rich asks for tab sizes when it wraps; nothing is printed to it."""
    from rich.console import Console

    return Console(force_terminal=False)


def _indented(lines: Sequence[Text], indent: str) -> Iterator[Text]:
    for line in lines:
        yield Text(indent).append_text(line)
