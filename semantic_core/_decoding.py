"""The bytes of a text file as text: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

Tested by tests/kernel/test_files.py.
"""

from __future__ import annotations

import codecs

from semantic_core.errors import FileUnreadable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(name: str, data: bytes) -> str:
    """The text of a file. name: of the file, for messages.

    Raises FileUnreadable for a file that is binary or in another encoding, with the place of the
    first byte that shows it.
    """
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    if encoding == "utf-8" and b"\0" in data:
        raise FileUnreadable(
            f"{name!r} looks binary: it contains a zero byte at {data.index(0):,}.",
            hint="Extract its text first.",
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileUnreadable(
            (
                f"{name!r} is not {encoding.upper()}: byte 0x{data[error.start]:02X} at "
                f"{error.start:,}."
            ),
            hint=f"Convert it first, for example: iconv -f LATIN1 -t UTF-8 {name!r}",
        ) from error
