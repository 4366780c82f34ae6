"""What a file may cost: every limit of the readers, in one place.

A file that passes one is refused with FileUnreadable, which names the limit.

Tested by tests/test_hostile.py.
"""

from __future__ import annotations

MAX_FILE_BYTES = 100_000_000
"""The largest file. Larger ones are usually archives of something that is better indexed in parts.
"""
SECONDS = 30.0
"""Time for one file, together with SECONDS_PER_MEGABYTE."""
SECONDS_PER_MEGABYTE = 2.0
"""What each million bytes of a file adds to its time."""
MEMORY_BYTES = 1_500_000_000
"""Address space of a process that reads files, where the system can limit it (Linux, macOS)."""
READER_PROCESSES = 4
"""The most files that are read at the same time; others wait for their turn."""
FILES_PER_PROCESS = 500
"""After so many files, a process is replaced, so that a leak of a library cannot grow."""
IDLE_SECONDS = 60.0
"""A process that has read nothing for so long ends by itself, except on Windows."""
START_SECONDS = 60.0
"""Time for the interpreter to start, on a machine that is busy."""

MAX_TEXT_CHARS = 20_000_000
"""The most text from one file, in characters, in all its documents together."""
MAX_DOCUMENTS = 50_000
"""The most documents from one file: messages, attachments and rows."""
MAX_ROWS = 20_000
"""A table with more rows becomes one document instead of one document for each row."""
MAX_COLUMNS = 200
"""A table with more columns becomes one document too."""
MAX_TABLE_COLUMNS = 5_000
"""The most columns of a CSV file."""
MAX_CELLS = 2_000_000
"""The most cells in all sheets of a workbook together, empty ones included."""

MAX_EXPANDED_BYTES = 300_000_000
"""The most that the entries of a ZIP archive may expand to together: Office documents, books."""
MAX_RATIO = 200
"""The most that an archive may expand to, as a multiple of its size, if it expands to more than
RATIO_FROM bytes. XML seldom passes 50.
"""
RATIO_FROM = 20_000_000
"""Archives that expand to less are read whatever their ratio."""
MAX_ENTRIES = 20_000
"""The most entries in a ZIP archive."""
MAX_XML_NESTING = 250
"""The deepest nesting of elements in an XML part; Office documents stay below 50."""
MAX_HTML_NESTING = 1_000
"""The deepest nesting of elements in a page; browsers stop at 512."""
MAX_JSON_NESTING = 100
"""The deepest nesting in a line of JSON."""
MAX_PAGES = 5_000
"""The most pages of a PDF."""
MAX_BOOKMARKS = 10_000
"""Bookmarks of a PDF beyond these are ignored."""
MAX_MIME_NESTING = 30
"""The deepest nesting of the parts of a message."""
MAX_ATTACHMENTS = 200
"""The most attachments of one message; further ones are counted, not read."""
MAX_NAME_CHARS = 150
"""The longest name of a part, in characters; a longer one is cut and gets a hash."""
