"""Text to token numbers: exactly the tokenizer's own,
faster because a word seen before is looked up.

The tokenizer merges characters over the whole text and has no notion of a word, so it cannot
remember one. But a text may be cut between two characters that stand side by side in no merge: what
is left of the cut then never meets what is right of it. In this tokenizer's 61,249 merges

* a space never follows another character;
* a letter or digit (all but the superscript two) and any other character never meet, spaces before
  either aside.

`PIECE` cuts there and nowhere else. A test holds both facts against the merges, another compares
with the uncut tokenizer.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from semantic_core.errors import TextInvalid
from semantic_core_wordllama._wheel import TOKENIZER

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE: Final = re.compile(r" *[^\W_²]+| *(?:(?![^\W_²])[^ ])+| +")
"""One piece of a text that has a space in front: spaces,
then letters and digits or anything else.
"""
RESERVED: Final = re.compile("(<unk>|<s>|</s>)")
"""The tokenizer's own marks, tokens wherever they stand; the text after one begins anew."""
BLANK: Final = "▁"
"""What the tokenizer writes for a space, and puts in front of a text.
One that is in the text is a space to it.
"""

NUMBER: Final = "i"
"""A token number as it is kept: in four bytes,
so that those of a text are joined without a Python number each.
"""

WINDOW: Final = 8_192
"""Characters read at once, to bound memory. A run without white space that is longer (no real word
is) is cut all the same, and its tokens may differ a little from those of the whole."""
REMEMBERED: Final = 32_768
"""Words, and likewise pieces, kept: about 8 MB each. When full, all are forgotten:
the frequent ones are soon back.
"""
REMEMBERED_LENGTH: Final = 64
"""Longer words and pieces, in characters, do not come back and are not kept."""


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
    """The token numbers of texts.

    Safe to use from several threads: what is remembered is only ever added to, or dropped.
    """

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        tokenizer: Any = Tokenizer.from_buffer(TOKENIZER.read())
        self._model: Any = tokenizer.model
        self._reserved: dict[str, int] = {
            mark: tokenizer.token_to_id(mark) for mark in RESERVED.pattern[1:-1].split("|")
        }
        self._pieces = _Memory(self._new)
        self._words = _Memory(lambda word: self._cut(f" {word}"))
        self.blank: int = tokenizer.token_to_id(BLANK)
        """The token of a space alone."""

    def of(self, text: str) -> NDArray[Any]:
        """The token numbers in order, int32 of shape (n,); none for an empty text.

        A lone surrogate raises TextInvalid.
        """
        import numpy as np

        said = (
            b"".join(map(self._words.__getitem__, text.split(" ")))
            if self._is_plain(text)
            else self._read(text)
        )
        return np.frombuffer(said, dtype=NUMBER)

    def _is_plain(self, text: str) -> bool:
        """Whether the text is words with one space between:
        then each has the same tokens as in any other such text.
        """
        if not text or text[0] == " " or text[-1] == " " or "  " in text or BLANK in text:
            return False
        return "<" not in text or not any(mark in text for mark in self._reserved)

    def _read(self, text: str) -> bytes:
        parts = (part for part in RESERVED.split(text) if part)
        return b"".join(
            _packed([self._reserved[part]])
            if part in self._reserved
            else self._cut(f" {part.replace(BLANK, ' ')}")
            for part in parts
        )

    def _cut(self, text: str) -> bytes:
        return b"".join(map(self._pieces.__getitem__, PIECE.findall(text)))

    def _new(self, piece: str) -> bytes:
        try:
            return _packed([token.id for token in self._model.tokenize(piece.replace(" ", BLANK))])
        except UnicodeEncodeError as error:
            raise TextInvalid(
                "A text to embed holds a lone surrogate.",
                hint='Decode the source with errors="replace", or repair it.',
            ) from error


class _Memory(dict[str, bytes]):
    """Token numbers of what was seen before, packed; what is not there is made, and mostly kept."""

    def __init__(self, make: Callable[[str], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: str) -> bytes:
        made = self._make(text)
        if len(text) <= REMEMBERED_LENGTH:
            if len(self) >= REMEMBERED:
                self.clear()
            self[text] = made
        return made


def _packed(numbers: list[int]) -> bytes:
    return array(NUMBER, numbers).tobytes()
