"""What a `SemanticIndex` says of a model, checked once: which fields are text, title and metadata,
and which rows count.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from types import FunctionType
from typing import Any

import attrs

from semantic_core._checks import check_name, clip
from semantic_core.errors import ConfigError
from semantic_core.orm._tables import Table
from semantic_core.orm._values import (
    FieldPath,
    IsRow,
    as_metadata,
    as_text,
    never,
    read,
)
from semantic_core.types import Document, Ref

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
        code, functions = function.__code__, {}
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
            title_field, sources = TITLE, tuple(field for field in sources if field != TITLE)
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
