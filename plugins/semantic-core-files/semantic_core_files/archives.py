"""ZIP archives and the XML in them, with limits: what Office documents and books are made of.

Tested by tests/test_hostile.py.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from semantic_core.errors import FileUnreadable
from semantic_core_files import limits
from semantic_core_files.encodings import check_not_empty, wrong_format
from semantic_core_files.parts import FileSource

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The beginning of old Office documents, and of encrypted new ones."""
_ENCRYPTED_NAME = "EncryptedPackage".encode("utf-16-le")
_IS_ENCRYPTED = 0x1
_FAILURES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    KeyError,
    IndexError,
)
"""What zipfile raises for broken archives."""


class Archive:
    """An archive that was found to be harmless. wanted: what it should be, such as "Word document".

    Raises FileUnreadable for a file that is no archive, is encrypted or expands to too much.
    """

    def __init__(self, source: FileSource, wanted: str) -> None:
        self.source = source
        self._wanted = wanted
        check_not_empty(source)
        check_not_encrypted(source)
        if not source.data.startswith(b"PK"):
            raise wrong_format(source, wanted)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(source.data))
        except _FAILURES as error:
            raise self.broken(error) from error
        self._names = {info.filename.lstrip("/"): info for info in self._zip.infolist()}
        self._check()

    def _check(self) -> None:
        infos = self._zip.infolist()
        if len(infos) > limits.MAX_ENTRIES:
            self._refuse(f"has {len(infos):,} entries, the most is {limits.MAX_ENTRIES:,}")
        expanded = sum(info.file_size for info in infos)
        if expanded > limits.MAX_EXPANDED_BYTES:
            self._refuse(
                f"expands to {expanded:,} bytes, the most is {limits.MAX_EXPANDED_BYTES:,}"
            )
        ratio = expanded // max(1, len(self.source.data))
        if expanded > limits.RATIO_FROM and ratio > limits.MAX_RATIO:
            self._refuse(f"expands to {ratio:,} times its size, the most is {limits.MAX_RATIO}")
        if any(info.flag_bits & _IS_ENCRYPTED for info in infos):
            raise encrypted(self.source)

    def names(self) -> list[str]:
        """The names of all entries, in the order of the archive."""
        return list(self._names)

    def has(self, name: str) -> bool:
        """Whether there is an entry of that name."""
        return name.lstrip("/") in self._names

    def read(self, name: str) -> bytes:
        """The bytes of an entry. Raises FileUnreadable if it is missing or broken."""
        info = self._names.get(name.lstrip("/"))
        if info is None:
            raise FileUnreadable(
                f"{self.source.name!r} is no {self._wanted}: it has no {name!r} inside.",
                hint="Open it in the program that made it and save it again.",
            )
        try:
            return self._zip.read(info)
        except _FAILURES as error:
            raise self.broken(error) from error

    def xml(self, name: str) -> Element:
        """The root of an XML entry. Raises FileUnreadable if it is missing, broken or unsafe."""
        return xml_root(self.source, name, self.read(name))

    def xml_or_none(self, name: str) -> Element | None:
        """The root of an XML entry; None if there is no such entry."""
        return self.xml(name) if self.has(name) else None

    def check_xml(self) -> None:
        """Refuse entities and deep nesting in all XML entries, before another library reads them.

        Such a library may follow what we would not.
        """
        for name in self._names:
            if name.lower().endswith((".xml", ".rels", ".vml")):
                check_xml(self.source, name, self.read(name))

    def broken(self, error: Exception) -> FileUnreadable:
        """The error for an archive that cannot be read, from what a library raised."""
        reason = str(error).rstrip(".") or type(error).__name__
        return FileUnreadable(
            f"{self.source.name!r} is a broken {self._wanted}: {reason[:200]}.",
            hint="It may be cut short; fetch it again.",
        )

    def _refuse(self, problem: str) -> NoReturn:
        raise FileUnreadable(
            f"{self.source.name!r} {problem}.",
            hint="It may be a ZIP bomb; if it is yours, split it into several files.",
        )


def encrypted(source: FileSource) -> FileUnreadable:
    """The error for a file that a password protects."""
    return FileUnreadable(
        f"{source.name!r} is encrypted.",
        hint="Save a copy of it without a password.",
    )


def check_not_encrypted(source: FileSource) -> None:
    """Raise FileUnreadable for an Office document that a password protects."""
    if source.data.startswith(OLE) and _ENCRYPTED_NAME in source.data:
        raise encrypted(source)


def xml_root(source: FileSource, name: str, data: bytes) -> Element:
    """The root of XML, without its comments. Raises FileUnreadable as `check_xml` does."""
    builder = TreeBuilder()
    _parse(source, name, data, builder)
    return builder.close()


def check_xml(source: FileSource, name: str, data: bytes) -> None:
    """Raise FileUnreadable for XML that is broken, declares entities or is nested too deeply."""
    _parse(source, name, data, None)


def _parse(source: FileSource, name: str, data: bytes, builder: TreeBuilder | None) -> None:
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > limits.MAX_XML_NESTING:
            raise FileUnreadable(
                f"{source.name!r} has elements nested deeper than {limits.MAX_XML_NESTING} in "
                f"{name!r}.",
                hint="No program writes such a document; leave it out.",
            )
        if builder is not None:
            named = {_qualified(key): value for key, value in attributes.items()}
            builder.start(_qualified(tag), named)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        if builder is not None:
            builder.end(_qualified(tag))

    def entity(*declared: object) -> None:
        raise FileUnreadable(
            f"{source.name!r} declares the entity {str(declared[0])[:50]!r} in {name!r}, which no "
            "document of this kind needs.",
            hint="Leave it out: entities are used to attack readers.",
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.EntityDeclHandler = entity
    parser.UnparsedEntityDeclHandler = entity
    if builder is not None:
        parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise FileUnreadable(
            f"{source.name!r} has broken XML in {name!r}: {error}.",
            hint="Open it in the program that made it and save it again.",
        ) from error


def _qualified(name: str) -> str:
    """A name with its namespace as ElementTree writes it."""
    return f"{{{name}" if "}" in name else name
