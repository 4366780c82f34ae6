"""How well an embedding model covers a text, from the number of tokens that its tokenizer makes of
the words. Embedders that are `protocols.CoversTexts` compute it with this.

A model splits the words of a language that it was made for into few tokens, and those of any other
language into many short ones, down to letters and bytes. Measured on the texts of a user interface
in 40 languages, the multilingual sentence encoder that Semantic Core uses makes 1.1 to 1.8 tokens
of a word in languages that it was trained on (Korean: 2.1), and 1.9 to 7.3 in others.

Tested by tests/kernel/test_coverage.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

FEW_TOKENS: Final = 2.0
"""Tokens per word up to which a text is covered well."""
MANY_TOKENS: Final = 3.0
"""Tokens per word from which on a text is not covered at all."""
POORLY_COVERED: Final = 0.5
"""A text with less coverage is reported: meaning finds little of it."""
UNKNOWN_TOKENS: Final = 3
"""Tokens that a word counts for which the tokenizer does not know at all: `MANY_TOKENS`."""

SCRIPTS: Final = {
    "Latin": "A-Za-zªºÀ-ÖØ-öø-ɏɐ-ʯḀ-ỿＡ-Ｚａ-ｚ",
    "Cyrillic": "Ѐ-ԯᲀ-ᲊ",
    "Arabic": "ؠ-يٮ-ۓەۺ-ۿݐ-ݿࢠ-ࣉﭐ-ﷻﹰ-ﻼ",
    "Hangul": "ᄀ-ᇿ㄰-㆏ꥠ-ꥼ가-힣",
    "Han": "々〇㐀-䶿一-鿿豈-龎\U00020000-\U000323af",
    "Kana": "ぁ-ゖゝ-ゟァ-ヺー-ヿㇰ-ㇿｦ-ﾟ",
    "Thai": "ก-ๆ",
}
"""Ranges of characters, for a character class, of the scripts that models are trained on."""

_UNSPACED: Final = "".join((SCRIPTS["Han"], SCRIPTS["Kana"], SCRIPTS["Thai"], "຀-໿က-႟ក-៓"))
"""Letters of scripts that put no spaces between words; also Lao, Burmese and Khmer."""
_WORD: Final = re.compile(f"[{_UNSPACED}]+|[^\\W\\d_{_UNSPACED}]+")
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
LETTERS_OF_A_WORD: Final = 2
"""Letters of a word, on average, where no spaces tell words apart: most words of Chinese have two.
"""
MOST_WORDS: Final = 400
"""Words of a text that are looked at: as many as a long passage has."""


def words_of(text: str) -> list[str]:
    """The first `MOST_WORDS` runs of letters in a text, in lower case. Where a script puts no
    spaces between words, a run is longer than a word. [] for a text without letters.
    """
    words = []
    for match in _WORD.finditer(text.lower()):
        words.append(match.group())
        if len(words) == MOST_WORDS:
            break
    return words


def coverage_of(words: Iterable[tuple[str, int]], scripts: Iterable[str] | None = None) -> float:
    """How well a text is covered, from 0 to 1, given its runs of letters (`words_of`), each with
    the number of tokens that the tokenizer makes of it.

    It is 1 up to `FEW_TOKENS` tokens per word, and falls evenly to 0 at `MANY_TOKENS`. Letters of a
    script that the model was not trained on are not covered, however few tokens they are. scripts:
    names of `SCRIPTS` that it was trained on; None if that is not known. 1 for a text without
    letters.
    """
    trained = None if scripts is None else re.compile(_one_of(scripts))
    letters = 0
    covered = 0
    tokens = 0
    count = 0.0
    for word, number in words:
        letters += len(word)
        if trained is None or trained.match(word):
            covered += len(word)
            tokens += number
            count += _number_of_words(word)
    if letters == 0:
        return 1.0
    if covered == 0:
        return 0.0
    fluent = (MANY_TOKENS - tokens / count) / (MANY_TOKENS - FEW_TOKENS)
    return min(1.0, max(0.0, fluent)) * covered / letters


def _one_of(scripts: Iterable[str]) -> str:
    return "".join(("[", *(SCRIPTS[name] for name in scripts), "]"))


def _number_of_words(run: str) -> float:
    """How many words a run of letters is, which is several where no spaces tell them apart."""
    if _IS_UNSPACED.match(run):
        return max(1.0, len(run) / LETTERS_OF_A_WORD)
    return 1.0
