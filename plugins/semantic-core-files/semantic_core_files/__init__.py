"""Readers of files: PDF, web pages, Office documents, books, e-mail, tables and source code.

Structured formats become Markdown, which ``semantic-core-markdown`` splits along its headings;
source code stays as it is and is split at its definitions. Files are read in processes of their
own, with limits on size, time and memory.

Importing this package loads no library that reads files. `formats` says what is read by whom,
`limits` what a file may cost.

Tested by tests/test_plugin.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from semantic_core import Chunk, Document, hookimpl
from semantic_core.types import FileContent
from semantic_core_files import formats

__all__ = ["FileReader", "semantic_readers", "semantic_split"]

SEMANTIC_CORE_API = 1


@attrs.frozen
class FileReader:
    """Reads the files of one format; see `semantic_core_files.formats`."""

    format: str

    def __call__(self, file: FileContent) -> Sequence[Document]:
        """The documents of the file. Raises FileUnreadable, which says what is wrong."""
        from semantic_core_files.processes import read_file

        return read_file(self.format, file)


@hookimpl
def semantic_readers() -> Mapping[str, Callable[[FileContent], Sequence[Document]]]:
    """Provide the readers of all formats."""
    return {key: FileReader(name) for key, name in formats.keys().items()}


@hookimpl
def semantic_split(document: Document, max_chars: int) -> Sequence[Chunk] | None:
    """Split source code at its definitions; None for all other documents."""
    if not document.media_type.startswith("text/x-"):
        return None
    from semantic_core_files.source_code import split

    return split(document, max_chars)
