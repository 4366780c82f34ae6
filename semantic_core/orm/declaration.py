"""What a `SemanticIndex` says of a model, checked once: which fields are text, title and metadata,
and which rows count.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
import re
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from types import FunctionType
from typing import Any
from uuid import UUID

import attrs

from semantic_core._validation import INT64, Value, check_name, clip
from semantic_core.errors import ConfigError, InputError
from semantic_core.orm.tables import Table
from semantic_core.types import Document, Ref

# Values of rows as the index keeps them: text to search in, metadata to ask for.
#
# Text: any value is written as a person would read it; None is nothing; a list is a line per item.
# Metadata: dates and times become ISO 8601 text (those with a time zone in UTC, so that they sort),
# decimals numbers, UUIDs and enumerations their value, JSON objects JSON text; None is left out.

FieldPath = str | Callable[[Any], object]
"""A field: its name, a dotted path through related rows ("author.name"),
or a callable given the instance.
"""


IsRow = Callable[[object], bool]
"""Whether a value is a row: one thing, though it may be iterable, as pydantic's models are."""


def never(value: object) -> bool:
    """An `IsRow` for where no rows are."""
    return False


def read(instance: object, field: FieldPath, is_row: IsRow = never) -> list[Any]:
    """The values a field of an instance has: one, none if something on the way is None, many
    through a to-many relation.
    """
    if callable(field):
        return _unfolded(field(instance), is_row)
    found = [instance]
    for name in field.split("."):
        found = [value for each in found for value in _unfolded(_attribute(each, name), is_row)]
    return found


def _attribute(instance: object, name: str) -> object:
    if isinstance(instance, Mapping):
        return instance.get(name)
    try:
        return getattr(instance, name)
    except Exception as error:
        # How Django and Peewee tell that a related row is gone.
        if type(error).__name__.endswith("DoesNotExist"):
            return None
        raise


def _unfolded(value: object, is_row: IsRow) -> list[Any]:
    """None is nothing; several are several; a related manager or query is asked for its rows."""
    if value is None:
        return []
    if is_row(value):
        return [value]
    every = getattr(value, "all", None)
    if callable(every) and not isinstance(value, type) and hasattr(value, "filter"):
        value = every()
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not isinstance(
        value, Iterable
    ):
        return [value]
    return [item for item in value if item is not None]


def as_text(value: object) -> str:
    """The value as text to be searched; "" for None."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bytes | bytearray | memoryview):
        raise InputError(
            f"A field holds {type(value).__name__}, and only text can be searched.",
            hint="Map a callable that decodes it.",
        )
    if isinstance(plain, Mapping | list | tuple):
        return "\n".join(
            filter(None, map(as_text, plain.values() if isinstance(plain, Mapping) else plain))
        )
    return str(plain)


def as_metadata(values: list[Any]) -> Value | None:
    """What a ``where`` can ask for: one value as it is, several as text each; None for nothing."""
    if not values:
        return None
    if len(values) > 1:
        return tuple(str(scalar(value)) for value in values)
    return scalar(values[0])


def scalar(value: object) -> str | bool | int | float:
    """One value of a row, or of a ``where``, as it is kept. Raises InputError for bytes."""
    plain = _plain(value)
    if isinstance(plain, bytes | bytearray | memoryview):
        raise InputError(
            f"Metadata cannot be {type(value).__name__}.",
            hint="Map a callable that makes text of it.",
        )
    if isinstance(plain, bool | str):
        return plain
    if isinstance(plain, int):
        return plain if plain in INT64 else str(plain)
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else str(plain)
    if isinstance(plain, Mapping | list | tuple):
        return json.dumps(plain, default=str, ensure_ascii=False, sort_keys=True)
    return str(plain)


def _plain(value: object) -> object:
    """The value without its wrapping."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo is not None else value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return (
            int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
        )
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value


def uuid_text(text: str) -> str:
    """A UUID in its usual spelling, of however a database or a person writes it: without dashes, as
    bytes in hex. What is none stays as it is.
    """
    try:
        return str(UUID(text.removeprefix("\\x")))
    except ValueError:
        return text


DEFAULT_NAME = "search"
"""The attribute an index is usually declared as: then its collection is named like the table."""
TITLE = "title"
"""A source field of that name is the title, unless the declaration says otherwise."""


def _named(fields: Mapping[str, FieldPath] | Sequence[FieldPath]) -> dict[str, FieldPath]:
    if isinstance(fields, Mapping):
        return dict(fields)
    return {
        field if isinstance(field, str) else field.__name__: field
        for field in _listed("metadata_fields", fields)
    }


def _listed(what: str, fields: object) -> tuple[Any, ...]:
    if isinstance(fields, str) or not isinstance(fields, Sequence):
        raise ConfigError(
            f"{what} must be a list of field names, got {clip(fields)}.",
            hint=f'Write {what}=["title"].',
        )
    for field in fields:
        if not callable(field) and (not isinstance(field, str) or not all(field.split("."))):
            raise ConfigError(
                f"{what}: a field is a name, a dotted path or a callable, got {clip(field)}."
            )
    return tuple(fields)


_SOURCES: weakref.WeakKeyDictionary[FunctionType, str] = weakref.WeakKeyDictionary()
"""Function -> its source, read when it was declared: a deploy may replace the file afterwards."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def _source(function: FunctionType) -> str:
    """The text of a function, blanks made one; "" where there is none to be read.

    All lambdas that begin in its line are taken for one, since a line is what Python knows. The
    syntax tree says where they end, for `inspect.getsource` ends a lambda with its first line.
    """
    if function not in _SOURCES:
        code = function.__code__
        functions = {}
        with suppress(OSError, SyntaxError, ValueError):
            functions = _functions("".join(inspect.findsource(function)[0]))
        _SOURCES[function] = functions.get((code.co_name, code.co_firstlineno), "")
    return _SOURCES[function]


@lru_cache(maxsize=1)
def _functions(module: str) -> dict[tuple[str, int], str]:
    """The text of each function of a module, with its decorators, by name and first line."""
    lines = module.encode().splitlines(keepends=True)
    found: defaultdict[tuple[str, int], str] = defaultdict(str)
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node, *getattr(node, "decorator_list", ())], key=lambda part: part.lineno)
            last = node.end_lineno or node.lineno
            text = b"".join(
                [*lines[first.lineno - 1 : last - 1], lines[last - 1][: node.end_col_offset]]
            )
            blank = " ".join(text[first.col_offset :].decode().split())
            found[getattr(node, "name", "<lambda>"), first.lineno] += blank
    return dict(found)


def _written(value: object) -> str:
    """A value as text that is the same in every process."""
    if isinstance(value, set | frozenset) or type(value).__repr__ is object.__repr__:
        return type(value).__qualname__
    return _ADDRESS.sub("", repr(value))


def _does(value: Any) -> object:
    """What a callable does, for JSON: its source; its name where it has none."""
    if isinstance(value, partial):
        given = {name: _written(each) for name, each in value.keywords.items()}
        return [value.func, [_written(each) for each in value.args], given]
    function = inspect.unwrap(getattr(value, "__func__", value))
    if isinstance(function, FunctionType):
        return _source(function) or function.__qualname__
    if hasattr(value, "__qualname__"):
        return value.__qualname__
    called = type(value).__call__
    return [_written(value), _source(called) if isinstance(called, FunctionType) else ""]


@attrs.frozen
class Declaration:
    """One index of one model.

    collection: what its documents are one of; "" until an adapter names it after the table. name:
    of the attribute the index is declared as. source_fields: the text, in this order, a blank line
    between them; names, dotted paths or callables given the instance. title_field: the title; None
    takes a source field called "title" if there are others. metadata_fields: what a ``where`` can
    ask for: a list, or {name: field}. condition: a callable given the instance; rows it is false
    for are not in the index. soft_delete: a field that is true (a date, a flag) where a row counts
    as deleted. tenant: the field or callable that names whose a row is. watch_fields: columns that
    callables read; without it a declaration with callables listens to every column. version: raise
    it when a callable gives something else though its own text is the same.
    is_row: what tells a row from a list of values; an adapter's own.
    """

    collection: str
    name: str
    source_fields: tuple[FieldPath, ...]
    title_field: FieldPath | None
    metadata_fields: Mapping[str, FieldPath] = attrs.field(hash=False)
    condition: Callable[[Any], object] | None
    soft_delete: str | None
    tenant: FieldPath | None
    watch_fields: tuple[str, ...] | None
    media_type: str
    language: str | None
    version: int
    is_row: IsRow = attrs.field(default=never, eq=False, repr=False)
    fingerprint: str = attrs.field(init=False, eq=False, repr=False)
    """16 hex digits that change when documents would be made otherwise.

    A callable counts by its source text, as it was when it was declared, and a partial function by
    what it is given as well. Not seen: what the functions it calls do, values from outside of it
    (closures, globals, attributes), and all of a callable without source but its name.
    """

    @fingerprint.default
    def _told(self) -> str:
        said = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(Declaration)
            if field.name not in ("is_row", "fingerprint")
        }
        text = json.dumps(said, default=_does, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def of(
        cls,
        collection: str,
        source_fields: Sequence[FieldPath],
        *,
        name: str = DEFAULT_NAME,
        title_field: FieldPath | None = None,
        metadata_fields: Mapping[str, FieldPath] | Sequence[FieldPath] = (),
        condition: Callable[[Any], object] | None = None,
        soft_delete: str | None = None,
        tenant: FieldPath | None = None,
        watch_fields: Sequence[str] | None = None,
        media_type: str = "text/plain",
        language: str | None = None,
        version: int = 1,
    ) -> Declaration:
        """A declaration, checked. Raises ConfigError."""
        check_name("A collection", collection, empty=True)
        sources = _listed("source_fields", source_fields)
        if not sources and title_field is None:
            raise ConfigError("source_fields is empty; an index needs a field to search in.")
        if title_field is None and TITLE in sources and len(sources) > 1:
            title_field = TITLE
            sources = tuple(field for field in sources if field != TITLE)
        return cls(
            collection=collection,
            name=name,
            source_fields=sources,
            title_field=title_field,
            metadata_fields=_named(metadata_fields),
            condition=condition,
            soft_delete=soft_delete,
            tenant=tenant,
            watch_fields=None if watch_fields is None else _listed("watch_fields", watch_fields),
            media_type=media_type,
            language=language,
            version=version,
        )

    def named_after(self, table: Table) -> Declaration:
        """The same with a collection: its own, or the table's name, with the part of the table it
        is about, and its own name if it is not called "search"."""
        if self.collection:
            return self
        name = "" if self.name == DEFAULT_NAME else self.name
        return attrs.evolve(self, collection=".".join(filter(None, (table.name, table.part, name))))

    def fields(self) -> Iterator[FieldPath]:
        """Every field a document is made of or a row is judged by."""
        yield from self.source_fields
        yield from self.metadata_fields.values()
        yield from (
            field
            for field in (self.title_field, self.soft_delete, self.tenant, self.condition)
            if field is not None
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """The fields that have a name, each once, and the watched ones."""
        return tuple(
            dict.fromkeys(
                (
                    *(field for field in self.fields() if isinstance(field, str)),
                    *(self.watch_fields or ()),
                )
            )
        )

    @property
    def reads_anything(self) -> bool:
        """Whether a callable reads columns nobody has named."""
        return self.watch_fields is None and any(callable(field) for field in self.fields())

    def read(self, instance: object, field: FieldPath) -> list[Any]:
        """The values a field of a row has."""
        return read(instance, field, self.is_row)

    def wants(self, instance: object) -> bool:
        """Whether this row belongs into the index, as it is now."""
        if self.soft_delete is not None and any(self.read(instance, self.soft_delete)):
            return False
        return self.condition is None or bool(self.condition(instance))

    def document(
        self, ref: Ref, instance: object, read_metadata: Callable[[object, FieldPath], list[Any]]
    ) -> Document:
        """The document of a row. read_metadata: how a metadata field is read, since related rows
        stand there as their key.

        Raises InputError for a value that cannot be text or metadata, and whatever a callable
        raises.
        """
        parts = [
            "\n".join(filter(None, map(as_text, self.read(instance, field))))
            for field in self.source_fields
        ]
        title = (
            " ".join(map(as_text, self.read(instance, self.title_field)))
            if self.title_field is not None
            else ""
        )
        values = {
            name: as_metadata(read_metadata(instance, field))
            for name, field in self.metadata_fields.items()
        }
        title = " ".join(title.split())
        return Document(
            ref,
            # A document without text has no passage to be found by.
            "\n\n".join(part for part in parts if part) or title,
            title=title,
            media_type=self.media_type,
            metadata={name: value for name, value in values.items() if value is not None},
            language=self.language,
        )
