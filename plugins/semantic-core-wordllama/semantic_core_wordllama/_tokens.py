"""Text to token numbers: exactly the tokenizer's own, faster because a word seen before is looked up.

The tokenizer merges characters over the whole text and has no notion of a word, so it cannot remember one. But a text may
be cut between two characters that stand side by side in no merge: what is left of the cut then never meets what is right of
it. In this tokenizer's 61,249 merges

* a space never follows another character;
* a letter or digit (all but the superscript two) and any other character never meet, spaces before either aside.

`PIECE` cuts there and nowhere else. A test holds both facts against the merges, another compares with the uncut tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from semantic_core.errors import TextInvalid
from semantic_core_wordllama._wheel import TOKENIZER

PIECE: Final = re.compile(r" *[^\W_²]+| *(?:(?![^\W_²])[^ ])+| +")
"""One piece of a text that has a space in front: spaces, then letters and digits or anything else."""
RESERVED: Final = re.compile("(<unk>|<s>|</s>)")
"""The tokenizer's own marks, tokens wherever they stand; the text after one begins anew."""
BLANK: Final = "▁"
"""What the tokenizer writes for a space, and puts in front of a text. One that is in the text is a space to it."""

WINDOW: Final = 8_192
"""Characters read at once, to bound memory. A run without white space that is longer (no real word is) is cut all the same,
and its tokens may differ a little from those of the whole."""
REMEMBERED: Final = 32_768
"""Pieces kept, about 8 MB. When full, all are forgotten: the frequent ones are back within a few texts."""
REMEMBERED_LENGTH: Final = 64
"""Longer pieces, in characters, do not come back and are not kept."""


def windows(text: str) -> Iterator[str]:
    """The text in order, at most WINDOW characters at a time, cut at white space."""
    start = 0
    while len(text) - start > WINDOW:
        end = start + WINDOW
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = cut if cut > 0 else end
        yield text[start:end]
        start = end
    yield text[start:]


class Tokens:
    """The token numbers of texts. Safe to use from several threads: pieces are only ever added, or all forgotten."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        tokenizer: Any = Tokenizer.from_buffer(TOKENIZER.read())
        self._model: Any = tokenizer.model
        self._reserved: dict[str, int] = {mark: tokenizer.token_to_id(mark) for mark in RESERVED.pattern[1:-1].split("|")}
        self._pieces: dict[str, list[int]] = {}
        self.blank: int = tokenizer.token_to_id(BLANK)
        """The token of a space alone."""

    def of(self, text: str) -> list[int]:
        """The token numbers in order; none for an empty text. Raises TextInvalid on a lone surrogate."""
        ids: list[int] = []
        remembered = self._pieces.get
        for part in RESERVED.split(text):
            if part in self._reserved:
                ids.append(self._reserved[part])
            elif part:
                for piece in PIECE.findall(" " + part.replace(BLANK, " ")):
                    ids += remembered(piece) or self._new(piece)
        return ids

    def _new(self, piece: str) -> list[int]:
        try:
            ids = [token.id for token in self._model.tokenize(piece.replace(" ", BLANK))]
        except UnicodeEncodeError as error:
            raise TextInvalid(
                "A text to embed holds a lone surrogate.", hint='Decode the source with errors="replace", or repair it.'
            ) from error
        if len(piece) <= REMEMBERED_LENGTH:
            if len(self._pieces) >= REMEMBERED:
                self._pieces.clear()
            self._pieces[piece] = ids
        return ids
