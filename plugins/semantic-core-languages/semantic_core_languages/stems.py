"""Languages: their codes, scripts and stemmers, and the terms of a word.

Tested by tests/test_stems.py.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from semantic_core.errors import ConfigError
from semantic_core_languages.characters import APOSTROPHES, lowered, plain

if TYPE_CHECKING:
    import Stemmer

LATIN = "latin"
MOST_WORDS = 50_000
"""Words whose terms are remembered; most parts of identifiers are words that were met before."""
_ALGORITHMS = {
    "ar": ("arabic", "arabic"),
    "bg": ("cyrillic", ""),
    "be": ("cyrillic", ""),
    "ca": (LATIN, "catalan"),
    "cs": (LATIN, "czech"),
    "da": (LATIN, "danish"),
    "de": (LATIN, "german"),
    "el": ("greek", "greek"),
    "en": (LATIN, "english"),
    "eo": (LATIN, "esperanto"),
    "es": (LATIN, "spanish"),
    "et": (LATIN, "estonian"),
    "eu": (LATIN, "basque"),
    "fa": ("arabic", "persian"),
    "fi": (LATIN, "finnish"),
    "fr": (LATIN, "french"),
    "ga": (LATIN, "irish"),
    "he": ("hebrew", ""),
    "hi": ("devanagari", "hindi"),
    "hr": (LATIN, ""),
    "hu": (LATIN, "hungarian"),
    "hy": ("armenian", "armenian"),
    "id": (LATIN, "indonesian"),
    "it": (LATIN, "italian"),
    "ja": ("", ""),
    "km": ("", ""),
    "ko": ("", ""),
    "lo": ("", ""),
    "lt": (LATIN, "lithuanian"),
    "lv": (LATIN, ""),
    "mk": ("cyrillic", ""),
    "my": ("", ""),
    "ne": ("devanagari", "nepali"),
    "nl": (LATIN, "dutch"),
    "no": (LATIN, "norwegian"),
    "pl": (LATIN, "polish"),
    "pt": (LATIN, "portuguese"),
    "ro": (LATIN, "romanian"),
    "ru": ("cyrillic", "russian"),
    "sk": (LATIN, ""),
    "sl": (LATIN, ""),
    "sr": ("cyrillic", "serbian"),
    "sv": (LATIN, "swedish"),
    "ta": ("tamil", "tamil"),
    "th": ("", ""),
    "tr": (LATIN, "turkish"),
    "uk": ("cyrillic", ""),
    "ur": ("arabic", ""),
    "vi": (LATIN, ""),
    "yi": ("hebrew", "yiddish"),
    "zh": ("", ""),
}
"""Script and Snowball algorithm of each language, by its ISO 639-1 code. "": a script whose words
are not stemmed, or a language without a stemmer.
"""
_USUAL = {
    LATIN: "en",
    "arabic": "ar",
    "armenian": "hy",
    "cyrillic": "ru",
    "devanagari": "hi",
    "greek": "el",
    "hebrew": "he",
    "tamil": "ta",
}
"""The language of a script's words unless something else is known."""
_OTHER_CODES = {
    "ara": "ar",
    "cat": "ca",
    "ces": "cs",
    "chi": "zh",
    "cze": "cs",
    "dan": "da",
    "deu": "de",
    "dut": "nl",
    "ell": "el",
    "eng": "en",
    "est": "et",
    "fas": "fa",
    "fin": "fi",
    "fra": "fr",
    "fre": "fr",
    "ger": "de",
    "gre": "el",
    "heb": "he",
    "hin": "hi",
    "hun": "hu",
    "in": "id",
    "ita": "it",
    "iw": "he",
    "jpn": "ja",
    "kor": "ko",
    "nb": "no",
    "nld": "nl",
    "nn": "no",
    "nob": "no",
    "nor": "no",
    "per": "fa",
    "pol": "pl",
    "por": "pt",
    "ron": "ro",
    "rum": "ro",
    "rus": "ru",
    "spa": "es",
    "swe": "sv",
    "tha": "th",
    "tur": "tr",
    "ukr": "uk",
    "zho": "zh",
}
"""Other codes of these languages: of ISO 639-2, former ones, and both forms of Norwegian."""
_SCRIPTS = (
    (0x0000, 0x024F, LATIN),
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x06FF, "arabic"),
    (0x0750, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x1E00, 0x1EFF, LATIN),
    (0x1F00, 0x1FFF, "greek"),
    (0xFB1D, 0xFB4F, "hebrew"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFC, "arabic"),
    (0xFF21, 0xFF5A, LATIN),
)
"""First and last code points of a script, from Unicode's ``Blocks.txt``."""
_ELISIONS = frozenset({"fr", "it", "ca"})
"""Languages that write a short word and an apostrophe in front of a word: "l'homme"."""
_ENDINGS = frozenset({"tr", "fi", "et"})
"""Languages that write an ending behind an apostrophe: "Ankara'da"."""


def language_code(language: str) -> str:
    """The ISO 639-1 code of a language: "pt" for "pt-BR" and "por"; "" for one that is unknown."""
    code = language.replace("_", "-").partition("-")[0].strip().lower()
    code = _OTHER_CODES.get(code, code)
    return code if code in _ALGORITHMS else ""


def checked_languages(languages: Sequence[str]) -> tuple[str, ...]:
    """The codes of these languages, each once. Raises ConfigError for one that is unknown."""
    codes = []
    for language in languages:
        code = language_code(language) if isinstance(language, str) else ""
        if not code:
            raise ConfigError(
                f"languages must be ISO 639 codes that the analyser knows, got {language!r}.",
                hint=f"It knows {', '.join(sorted(_ALGORITHMS))}. Leave out another one: its words "
                "are found as they are written.",
            )
        codes.append(code)
    return tuple(dict.fromkeys(codes))


def script_of_language(code: str) -> str:
    """The script whose words are in that language; "" if they are not stemmed."""
    return _ALGORITHMS[code][0] if code else ""


@cache
def script_of(letter: str) -> str:
    """The script of a letter; "" for one whose words are not stemmed."""
    code = ord(letter)
    for first, last, script in _SCRIPTS:
        if first <= code <= last:
            return script
    return ""


class Choice(NamedTuple):
    """The languages that a text's words may be in.

    latin: the languages of words in Latin letters, the first is that of the text. others: the same
    by script; a script that is not in it has its usual language. literal: whether the word itself
    is a term, too, in addition to its stem.
    """

    latin: tuple[str, ...]
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()
    literal: bool = False

    def of(self, script: str) -> tuple[str, ...]:
        """The languages of that script's words."""
        if script == LATIN:
            return self.latin
        for other, codes in self.others:
            if other == script:
                return codes
        usual = _USUAL.get(script)
        return (usual,) if usual else ()


class _Stemmers(threading.local):
    """The stemmers of one thread, because a stemmer has a state."""

    def __init__(self) -> None:
        self._made: dict[str, Stemmer.Stemmer | None] = {}

    def of(self, code: str) -> Stemmer.Stemmer | None:
        """The stemmer of a language; None if it has none."""
        if code in self._made:
            return self._made[code]
        import Stemmer

        algorithm = _ALGORITHMS[code][1]
        made: Any = None
        if algorithm and algorithm in Stemmer.algorithms():
            made = Stemmer.Stemmer(algorithm, 0)
        self._made[code] = made
        return made


_STEMMERS = _Stemmers()


def library_version() -> str:
    """The version of Snowball, on which stems depend."""
    import Stemmer

    version: str = Stemmer.version()
    return version


def stems_of(words: Sequence[str], code: str) -> list[str]:
    """The stem of each of these words, which are in lower case and have letters only."""
    stemmer = _STEMMERS.of(code)
    if stemmer is None:
        return list(words)
    stems: list[str] = stemmer.stemWords(list(words))
    return stems


@lru_cache(MOST_WORDS)
def word_terms(word: str, choice: Choice) -> tuple[str, ...]:
    """The terms of a word, each once: its stem in each language, then the word itself if it is
    literal; () for a word without letters and digits.
    """
    lower = lowered(word)
    literal = plain(lower)
    if not literal:
        return ()
    terms = []
    for code in choice.of(script_of(lower[0])):
        stemmed = _stem(word, lower, code)
        terms.append(plain(stemmed) or literal)
    if choice.literal or not terms:
        terms.append(literal)
    return tuple(dict.fromkeys(terms))


def _stem(word: str, lower: str, code: str) -> str:
    if code == "tr":
        lower = lowered(word, turkish=True)
    for mark in APOSTROPHES[1:4]:
        lower = lower.replace(mark, "'")
    if "'" in lower:
        if code in _ELISIONS:
            lower = lower.rpartition("'")[2] or lower
        elif code in _ENDINGS:
            lower = lower.partition("'")[0] or lower
    return stems_of([lower], code)[0]
