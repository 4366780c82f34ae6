"""Reads rows: CSV, TSV and lines of JSON.

Who searches ten thousand rows wants the row, with its columns to filter by, so each row becomes a
document. A very long or wide table becomes one document instead, whose chunks are parts of the
table.

Tested by tests/test_rows.py.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from semantic_core.errors import FileUnreadable
from semantic_core_files import limits, markdown_text
from semantic_core_files.encodings import text_of
from semantic_core_files.parts import (
    MARKDOWN,
    PLAIN,
    FilePart,
    FileSource,
    Scalar,
    check_size,
    one_line,
    part_name,
    part_of,
)

_SAMPLE_LINES = 50
_DELIMITERS = ",;\t|"
_KEYS = (
    "id",
    "_id",
    "key",
    "uuid",
    "guid",
    "slug",
    "code",
    "isbn",
    "sku",
    "number",
    "url",
    "email",
)
"""Names of columns that identify a row, if its values are all there and all different."""
_TITLES = ("title", "name", "subject", "headline", "question", "summary", "label")
"""Names of columns that make the title of a row."""
_LONGEST_TITLE = 120
_MOST_FIELD = 10_000_000
"""The longest field of a CSV file, in characters; the module's own limit is 131,072."""
_INT = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,15}")
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]')
"""A bracket, or a string with what is in it."""
_LONGEST_METADATA = 500
"""A longer text is searched, not filtered by, so it is no metadata."""

Row = Mapping[str, object]


def read_csv(source: FileSource) -> list[FilePart]:
    """The rows of a CSV file; the first line names the columns. The delimiter is found: a comma,
    semicolon, tab or bar. Raises FileUnreadable for what is no table.
    """
    return _read_table(source, text_of(source, "CSV file"), "")


def read_tsv(source: FileSource) -> list[FilePart]:
    """The same for columns that are divided by tabs."""
    return _read_table(source, text_of(source, "TSV file"), "\t")


def read_json_lines(source: FileSource) -> list[FilePart]:
    """One document for each line of JSON: an object, or a value of another kind. Raises
    FileUnreadable for a line that is no JSON, and names it.
    """
    rows: list[Row] = []
    number = 0
    for number, line in enumerate(text_of(source, "JSON Lines file").split("\n"), 1):
        if not line.strip():
            continue
        value = _json(source, line, number)
        rows.append(_flat(value) if isinstance(value, dict) else {"value": value})
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(row))
        if len(columns) > 10 * limits.MAX_COLUMNS:
            break
    return _documents(source, list(columns), rows)


def _read_table(source: FileSource, text: str, delimiter: str) -> list[FilePart]:
    if not delimiter:
        delimiter = _delimiter(text)
    records = _records(source, text, delimiter)
    columns: list[str] = []
    for header in records:
        if any(cell.strip() for cell in header):
            _check_columns(source, len(header))
            columns = _names(header)
            break
    rows: list[dict[str, Scalar]] = []
    cells = 0
    for record in records:
        if not any(cell.strip() for cell in record):
            continue
        _check_columns(source, len(record))
        if len(columns) < len(record):  # more values than the first line has names
            columns = _names([*columns, *[""] * (len(record) - len(columns))])
        cells += len(record)
        if cells > limits.MAX_CELLS:
            raise FileUnreadable(
                f"{source.name!r} has more than {limits.MAX_CELLS:,} values.",
                hint="Split it into several files.",
            )
        rows.append(dict(zip(columns, record, strict=False)))
    numbers = [column for column in columns if _is_numeric(row.get(column, "") for row in rows)]
    for row in rows:
        for column in numbers:
            if column in row:
                row[column] = _number(row[column])
    return _documents(source, columns, list(rows))


def _delimiter(text: str) -> str:
    """The delimiter that divides most of the first lines into the same number of columns."""
    csv.field_size_limit(_MOST_FIELD)
    lines = [line for line in text[:200_000].splitlines()[:_SAMPLE_LINES] if line.strip()]
    best = ","
    most = (0.0, 0)
    for delimiter in _DELIMITERS:
        counts = Counter(len(record) for record in csv.reader(lines, delimiter=delimiter))
        (columns, same) = counts.most_common(1)[0] if counts else (1, 0)
        score = (same / max(1, len(lines)), columns)
        if columns > 1 and score > most:
            most = score
            best = delimiter
    return best


def _records(source: FileSource, text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(_MOST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise FileUnreadable(
                f"{source.name!r} is no table at line {reader.line_num:,}: {error}.",
                hint="A quote may be missing there.",
            ) from error
        if record is None:
            return
        yield record


def _check_columns(source: FileSource, count: int) -> None:
    if count > limits.MAX_TABLE_COLUMNS:
        raise FileUnreadable(
            f"{source.name!r} has {count:,} columns, the most is {limits.MAX_TABLE_COLUMNS:,}.",
            hint="Leave out the columns that nobody searches.",
        )


def _names(header: Sequence[str]) -> list[str]:
    """A name for each column, all different."""
    names: dict[str, None] = {}
    seen: Counter[str] = Counter()
    for number, cell in enumerate(header, 1):
        name = one_line(cell, 100) or f"column {number}"
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name} ({seen[name]})"
        while unique in names:
            unique += "'"
        names[unique] = None
    return list(names)


def _is_numeric(cells: Iterable[object]) -> bool:
    """Whether all cells of a column are numbers or empty, without the zeros in front that codes
    have.
    """
    for cell in cells:
        text = str(cell).strip()
        if text and not _INT.fullmatch(text) and not _FLOAT.fullmatch(text):
            return False
    return True


def _number(cell: object) -> Scalar:
    """The number in a cell of a column of numbers; "" if it is empty."""
    text = str(cell).strip()
    if not text:
        return ""
    return int(text) if _INT.fullmatch(text) else float(text)


def _json(source: FileSource, line: str, number: int) -> object:
    if _depth(line) > limits.MAX_JSON_NESTING:
        raise FileUnreadable(
            f"{source.name!r} has values nested deeper than {limits.MAX_JSON_NESTING} in line "
            f"{number:,}.",
            hint="Leave it out, or store the inner values in lines of their own.",
        )
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FileUnreadable(
            f"{source.name!r} has no JSON in line {number:,}: {error}.",
            hint="Each line is one JSON value; a file with one large value is no JSON Lines file.",
        ) from error


def _depth(line: str) -> int:
    """The deepest nesting of brackets outside of strings."""
    depth = 0
    deepest = 0
    for found in _BRACKET.finditer(line):
        bracket = found[0]
        if bracket in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in "]}":
            depth -= 1
    return deepest


def _flat(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """An object with keys such as "author.name" for objects within it."""
    fields: dict[str, object] = {}
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, dict) and inner:
            fields.update(_flat(inner, f"{name}."))
        else:
            fields[name] = inner
    return fields


def _documents(source: FileSource, columns: list[str], rows: list[Row]) -> list[FilePart]:
    """A document for the file, and one for each row; or one with the whole table."""
    fields: dict[str, object] = {"rows": len(rows), "columns": columns[: limits.MAX_COLUMNS]}
    if len(rows) > limits.MAX_ROWS or len(columns) > limits.MAX_COLUMNS:
        return [_whole(source, columns, rows, fields)]
    amount = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
    shown = f"{amount} with the columns {', '.join(columns)}." if columns else ""
    parts = [part_of(source, shown, title=source.stem, media_type=PLAIN, metadata=fields)]
    # A row that is known by a value says no place: it would change whenever another row comes.
    key = _key(columns, rows)
    taken: set[str] = set()
    chars = 0
    for number, row in enumerate(rows, 1):
        label = f"{key}={_text(row[key])}" if key else f"row {number}"
        name = part_name(label, taken)
        taken.add(name)
        lines = []
        metadata: dict[str, object] = {}
        for column, value in row.items():
            text = _text(value)
            if not text:
                continue
            lines.append(f"{column}: {text}")
            if isinstance(value, list):
                metadata[column] = [_text(item)[:_LONGEST_METADATA] for item in value[:1_000]]
            elif not isinstance(value, str):
                metadata[column] = value
            elif len(text) <= _LONGEST_METADATA:
                metadata[column] = text
        text = "\n".join(lines)
        chars += len(text)
        check_size(source, chars)
        parts.append(
            part_of(
                source,
                text,
                part=name,
                title=_title(row),
                media_type=PLAIN,
                metadata=metadata if key else {"row": number, **metadata},
            )
        )
    return parts


def _whole(
    source: FileSource, columns: list[str], rows: list[Row], fields: dict[str, object]
) -> FilePart:
    table: list[list[str]] = [columns]
    chars = 0
    for row in rows:
        cells = [_text(row.get(column, "")) for column in columns]
        chars += sum(map(len, cells))
        check_size(source, chars)
        table.append(cells)
    return part_of(
        source,
        markdown_text.joined([markdown_text.table(table)]),
        title=source.stem,
        media_type=MARKDOWN,
        metadata=fields,
    )


def _key(columns: list[str], rows: list[Row]) -> str:
    """The column that identifies a row; "" if none does."""
    by_name = {column.casefold(): column for column in columns}
    for name in _KEYS:
        column = by_name.get(name)
        if column is None:
            continue
        values = {_text(row.get(column, "")) for row in rows}
        if "" not in values and len(values) == len(rows):
            return column
    return ""


def _title(row: Row) -> str:
    """The value of a column that names the row; otherwise ""."""
    by_name = {column.casefold(): value for column, value in row.items()}
    for name in _TITLES:
        value = by_name.get(name)
        if isinstance(value, str) and value.strip():
            return one_line(value, _LONGEST_TITLE)
    return ""


def _text(value: object) -> str:
    """A value as it is shown: text as it is, others as in JSON, nothing as ""."""
    if value is None or value == "":
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)
