"""Reads workbooks with calamine: Excel (XLSX, XLSM, XLSB, XLS) and OpenDocument (ODS).

Tested by tests/test_office.py.
"""

from __future__ import annotations

import io
from datetime import date, datetime, time, timedelta

from semantic_core.errors import FileUnreadable
from semantic_core_files import limits, markdown_text
from semantic_core_files.archives import OLE, Archive, check_not_encrypted, encrypted
from semantic_core_files.encodings import check_not_empty, wrong_format
from semantic_core_files.office import properties
from semantic_core_files.parts import FilePart, FileSource, check_size, part_of


def read(source: FileSource) -> list[FilePart]:
    """The workbook as one document: a heading for each visible sheet, and its cells as a table
    whose first row is the header. Raises FileUnreadable for what is no workbook.
    """
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    title, fields, language = _checked(source)
    blocks: list[str] = []
    names: list[str] = []
    cells = 0
    chars = 0
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(source.data))
        for sheet in book.sheets_metadata:
            if not str(sheet.typ).endswith("WorkSheet") or not str(sheet.visible).endswith(
                "Visible"
            ):
                continue
            found = book.get_sheet_by_name(sheet.name)
            cells += found.height * found.width
            if cells > limits.MAX_CELLS:
                raise FileUnreadable(
                    f"{source.name!r} has {cells:,} cells up to sheet {sheet.name!r}, the most is "
                    f"{limits.MAX_CELLS:,}.",
                    hint="Save the sheets that matter as CSV files.",
                )
            rows = [[_shown(cell) for cell in row] for row in found.iter_rows()]
            names.append(sheet.name)
            blocks.append(markdown_text.heading(2, sheet.name))
            blocks.append(markdown_text.table(rows))
            chars += len(blocks[-1])
            check_size(source, chars)
    except PasswordError as error:
        raise encrypted(source) from error
    except (CalamineError, OSError, ValueError) as error:
        reason = str(error)[:200].rstrip(".")
        raise FileUnreadable(
            f"{source.name!r} is no workbook that can be read: {reason}.",
            hint="Open it in the program that made it and save it again.",
        ) from error
    fields["sheets"] = names
    return [
        part_of(
            source,
            markdown_text.joined(blocks),
            title=title or source.stem,
            metadata=fields,
            language=language,
        )
    ]


def _checked(source: FileSource) -> tuple[str, dict[str, object], str]:
    """Title, metadata and language of a workbook that is harmless."""
    check_not_empty(source)
    check_not_encrypted(source)
    if source.data.startswith(OLE):
        return "", {}, ""
    if not source.data.startswith(b"PK"):
        raise wrong_format(source, "workbook")
    archive = Archive(source, "workbook")
    archive.check_xml()
    return properties(archive)


def _shown(cell: object) -> str:
    """A cell as text: numbers without a needless ".0", dates as ISO 8601."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        is_date = (cell.hour, cell.minute, cell.second, cell.microsecond) == (0, 0, 0, 0)
        return cell.date().isoformat() if is_date else cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return str(cell)
