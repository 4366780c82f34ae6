"""What the writer of a message wrote: without the text they answer to, and without their signature.

The text that is answered is a document of its own, if its message is indexed; repeated in every
answer, it would be found instead of the answers.

Tested by tests/test_mail.py.
"""

from __future__ import annotations

import re

_SIGNATURE = re.compile(r"^(?:-- ?|—\u00a0?|__{9,})$")
_MOST_SIGNATURE_LINES = 15
_INTRODUCTION = re.compile(
    r"(?:wrote|writes|schrieb.*|a écrit|ha scritto|escribió|skrev|пишет|написал\(?а?\)?)\s*:$"
    r"|^On .{5,200}:$|^Am .{5,200}:$|^Le .{5,200}:$",
    re.IGNORECASE,
)
_FORWARDED = re.compile(
    r"^\\?-{2,}\s*(?:original message|ursprüngliche nachricht|message d'origine)\s*-{2,}$",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(r"^(?:\*\*)?(?:From|Von|De)\s*:(?:\*\*)?\s.*\S", re.IGNORECASE)
_NEXT_HEADER = re.compile(
    r"^(?:\*\*)?(?:Sent|Date|To|Gesendet|Datum|An|Envoyé|À|Subject|Betreff|Objet)\s*:",
    re.IGNORECASE,
)
_LONGEST_INTRODUCTION = 3
"""Lines above a quote that say whom it quotes."""


def own_text(text: str) -> str:
    """The text without a quoted message at its end, and without its signature.

    Quotes between the answers stay, because answers are not understood without them. The whole
    text is returned if nothing would remain.
    """
    lines = text.split("\n")
    kept = _without_quoted_end(_without_signature(_without_original(lines)))
    shown = "\n".join(kept).rstrip()
    return f"{shown}\n" if shown.strip() else text


def flowed(text: str, *, joins_words: bool) -> str:
    """Text of "format=flowed" with its lines joined to paragraphs. joins_words: the space at the
    end of a line is not part of the text.
    """
    lines: list[str] = []
    is_open = False
    depth_before = 0
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        bare = bare[1:] if bare.startswith(" ") else bare
        is_signature = bare == "-- "
        if is_open and depth == depth_before and lines and not is_signature:
            lines[-1] += bare
        else:
            lines.append(f"{'>' * depth} {bare}" if depth else bare)
        is_open = bare.endswith(" ") and not is_signature
        if is_open and joins_words:
            lines[-1] = lines[-1][:-1]
        depth_before = depth
    return "\n".join(lines)


def _without_original(lines: list[str]) -> list[str]:
    """Without a message that a mail program put below, with its headers instead of ">"."""
    for place, line in enumerate(lines):
        bare = line.strip()
        if _FORWARDED.match(bare):
            return lines[:place]
        if _HEADER_LINE.match(bare) and place:
            following = lines[place + 1 : place + 6]
            named = sum(1 for other in following if _NEXT_HEADER.match(other.strip()))
            if named >= 2:
                return lines[:place]
    return lines


def _without_signature(lines: list[str]) -> list[str]:
    for back, line in enumerate(reversed(lines[-_MOST_SIGNATURE_LINES:]), 1):
        if _SIGNATURE.match(line):
            return lines[: len(lines) - back]
    return lines


def _without_quoted_end(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (lines[end - 1].lstrip().startswith(">") or not lines[end - 1].strip()):
        end -= 1
    if not any(line.lstrip().startswith(">") for line in lines[end:]):
        return lines
    for count in range(1, _LONGEST_INTRODUCTION + 1):
        if count > end:
            break
        introduction = " ".join(line.strip() for line in lines[end - count : end])
        if _INTRODUCTION.search(introduction):
            return lines[: end - count]
    return lines[:end]
