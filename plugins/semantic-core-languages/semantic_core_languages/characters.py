"""What each character is to the analyser, and how a term is spelled: classes and folding.

Tested by tests/test_characters.py.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEPARATOR, WORD, IDEOGRAPH, SYLLABLE, JOINT, PLUS, HASH = range(7)
"""The classes of characters. WORD: letters, digits, marks and "_". IDEOGRAPH and SYLLABLE: scripts
without spaces between words; ideographs are words of their own, too. JOINT: joins two words where
it stands between them, as in "node.js". PLUS and HASH: end a word, as in "C++" and "C#".
"""
LETTERS = " wij.+#"
"""How `classes_of` spells the classes, in their order; "i" and "j" are IDEOGRAPH and SYLLABLE."""
JOINTS = "._@&-/'\u2019\u02bc\uff07\u05f3\u05f4"
"""Characters that may join two words; "_" is a WORD itself. Besides apostrophes, the Hebrew geresh
and gershayim."""
APOSTROPHES = "'\u2019\u02bc\uff07\u05f3\u05f4"
SOFT = "\u00ad\u200c\u200d"
"""Soft hyphen and the invisible joiners: part of a word, and no part of its term."""
CODES = 0x110000
"""How many code points there are."""
_ASSIGNED = 0x33480
"""No letter or digit has a higher code point, in Unicode 17."""
_MARKED_PLANES = 0x1F000
"""Marks are below this code point, but for the variation selectors of `_SELECTORS`."""
_SELECTORS = range(0xE0100, 0xE01F0)
_MARKS = ("Mn", "Mc", "Me")
_IDEOGRAPHS = (
    (0x3005, 0x3007),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
"""First and last code points of Han, ``Blocks.txt`` of Unicode 15; also the mark of repetition.
"""
_SYLLABLES = (
    (0x0E01, 0x0E3A),  # Thai, without the sign of the currency and digits
    (0x0E40, 0x0E4E),
    (0x0E80, 0x0ECE),  # Lao
    (0x0EDC, 0x0EDF),
    (0x1000, 0x103F),  # Burmese, without digits
    (0x1050, 0x108F),
    (0x109A, 0x109F),
    (0x1100, 0x11FF),  # Hangul
    (0x1780, 0x17D3),  # Khmer, without digits and punctuation
    (0x17D7, 0x17D7),
    (0x17DC, 0x17DD),
    (0x3031, 0x3035),  # kana
    (0x3041, 0x3096),
    (0x3099, 0x309A),
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),
    (0x30FC, 0x30FF),
    (0x3131, 0x318E),
    (0x31F0, 0x31FF),
    (0xA9E0, 0xA9EF),
    (0xA960, 0xA97C),
    (0xAA60, 0xAA7F),
    (0xAC00, 0xD7A3),
    (0xD7B0, 0xD7FB),
    (0xFF66, 0xFF9F),
)
"""First and last code points of the other scripts whose words are not looked for by spaces."""


@cache
def classes() -> NDArray[np.uint8]:
    """The class of every code point: uint8 of shape (CODES,)."""
    import re

    import numpy as np

    table = np.zeros(CODES, dtype=np.uint8)
    assigned = np.arange(_ASSIGNED, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    for run in re.finditer(r"\w+", assigned):
        table[run.start() : run.end()] = WORD
    others = np.flatnonzero(table[:_MARKED_PLANES] == SEPARATOR).tolist()
    for code in (*others, *_SELECTORS):
        if unicodedata.category(chr(code)) in _MARKS:
            table[code] = WORD
    for letter in SOFT:
        table[ord(letter)] = WORD
    for kind, blocks in ((IDEOGRAPH, _IDEOGRAPHS), (SYLLABLE, _SYLLABLES)):
        for first, last in blocks:
            block = table[first : last + 1]
            block[block == WORD] = kind
    for letter in JOINTS:
        table[ord(letter)] = JOINT
    table[ord("_")] = WORD
    table[ord("+")] = PLUS
    table[ord("#")] = HASH
    table.flags.writeable = False
    return table


class _ClassLetters(dict[int, str]):
    """The letter of a code point's class, for `str.translate`. It grows with the code points that
    are met.
    """

    def __missing__(self, code: int) -> str:
        letter = LETTERS[classes()[code]]
        self[code] = letter
        return letter


_SPELLED = _ClassLetters()


def classes_of(text: str) -> str:
    """The classes of a text's characters, one of `LETTERS` for each."""
    return text.translate(_SPELLED)


_ACCENTED = ((0x00C0, 0x024F), (0x0370, 0x03FF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF))
"""First and last code points of Latin and Greek letters that may have accents."""
_BARE = ((0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F), (0x06D6, 0x06ED))
"""First and last code points of accents, Hebrew points and Arabic marks, which are left out. Marks
of other scripts are vowels and stay.
"""
_SAME = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ħ": "h",
    "ŧ": "t",
    "ı": "i",
    "ĸ": "k",
    "ŋ": "n",
    "ё": "е",
    "أ": "ا",
    "إ": "ا",
    "آ": "ا",
    "ٱ": "ا",
    "ى": "ي",
    "ی": "ي",
    "ک": "ك",
    "ة": "ه",
    "ؤ": "و",
    "ئ": "ي",
}
"""Letters that are written one way or the other."""
_NOTHING = "\u0640\u0670\ufe0e\ufe0f" + SOFT + APOSTROPHES
"""Tatweel, small alef, variation selectors, joiners and apostrophes: no part of a term."""


@cache
def _plain() -> dict[int, str]:
    """What stands for a letter in a term, for `str.translate`."""
    plain = {}
    for first, last in _ACCENTED:
        for code in range(first, last + 1):
            letter = unicodedata.normalize("NFKD", chr(code))
            bare = "".join(part for part in letter if not unicodedata.combining(part))
            if bare != chr(code):
                plain[code] = bare
    for first, last in _BARE:
        for code in range(first, last + 1):
            if unicodedata.category(chr(code)) == "Mn":
                plain[code] = ""
    for letter, same in _SAME.items():
        plain[ord(letter)] = same
    for letter in _NOTHING:
        plain[ord(letter)] = ""
    for code in range(0x80, _MARKED_PLANES):
        digit = unicodedata.digit(chr(code), None)
        if digit is not None and unicodedata.category(chr(code)) == "Nd":
            plain[code] = str(digit)
    return plain


def lowered(word: str, *, turkish: bool = False) -> str:
    """The word in lower case and with composed letters, as stemmers want it.

    turkish: "I" is "ı" and "İ" is "i".
    """
    if turkish:
        word = word.replace("I", "ı").replace("İ", "i")
    lower = word.lower()
    if lower.isascii():
        return lower
    # "İ" in lower case is "i" and a dot above.
    return unicodedata.normalize("NFKC", lower).replace("i\u0307", "i")


def plain(word: str) -> str:
    """A word in lower case as a term: without accents and other marks, one spelling for letters
    that have several; "" if nothing is left. The Cyrillic "й" stays.
    """
    if word.isascii():
        return word.replace("'", "")
    return unicodedata.normalize("NFKC", word.casefold()).translate(_plain())
