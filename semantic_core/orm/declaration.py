"""`Declaration`: which fields of a model are text, title and metadata, and which rows are indexed.

The values of rows are converted here as well. Text: any value is written as a person would read it;
None is nothing, and a list has one line per item. Metadata: dates and times become ISO 8601 text
(those with a time zone in UTC, so that they sort), decimals numbers, UUIDs and enumerations their
value, JSON objects JSON text; None is left out.

Tested by tests/orm/test_declaration.py, tests/orm/test_base.py.
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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from operator import attrgetter
from types import FunctionType
from typing import Any
from uuid import UUID

import attrs

from semantic_core._validation import INT64, Value, check_name, clip, iso_text
from semantic_core.errors import ConfigError, InputError
from semantic_core.orm.tables import Table
from semantic_core.ranking import MOST_BOOST, RankingOptions, check_boost
from semantic_core.types import Document, Ref

FieldPath = str | Callable[[Any], object]
"""A field: its name, a dotted path through related rows ("author.name"), or a callable that takes
the instance.
"""

IsRow = Callable[[object], bool]
"""Whether a value is a row. A row is one value, even if it is iterable as pydantic's models are."""

IsColumn = Callable[[object, str], bool]
"""Whether an attribute of a row, by its name, is a column of its table."""

OrderKey = Callable[[Any], object]
"""What a value of a collection without an order is sorted by: the key of a row, else itself."""

DEFAULT_NAME = "search"
"""The usual attribute of an index. Its collection then has the name of the table."""
WEIGHT = "^"
"""Stands between a field and its weight."""
TITLE = "title"
"""The source field that is the title, unless the declaration names another."""


def never(value: object) -> bool:
    """An `IsRow` for values among which there are no rows."""
    return False


def unknown(instance: object, name: str) -> bool:
    """An `IsColumn` for instances of which nothing is known."""
    return False


def itself(value: Any) -> object:
    """An `OrderKey` for values among which there are no rows."""
    return value


def read(
    instance: object,
    field: FieldPath,
    is_row: IsRow = never,
    is_column: IsColumn = unknown,
    order_key: OrderKey = itself,
) -> list[Any]:
    """The values of a field of an instance: usually one, none if a value on the path is None,
    several through a to-many relation. They come in the order that the relation or list has; where
    it has none, as a set, they are sorted.
    """
    if callable(field):
        return _unfolded(field(instance), is_row, order_key)
    values = [instance]
    for name in field.split("."):
        reached: list[Any] = []
        for value in values:
            attribute = _attribute(value, name)
            reached += _unfolded(attribute, is_row, order_key, is_column(value, name))
        values = reached
    return values


def _attribute(instance: object, name: str) -> object:
    if isinstance(instance, Mapping):
        return instance.get(name)
    try:
        return getattr(instance, name)
    except Exception as error:
        # Django and Peewee raise this if a related row does not exist.
        if type(error).__name__.endswith("DoesNotExist"):
            return None
        raise


def _unfolded(value: Any, is_row: IsRow, order_key: OrderKey, is_column: bool = False) -> list[Any]:
    """The values that one attribute stands for: none for None, the rows of a relation, the items of
    a list.

    What the tables declare decides first. A row is one value, and so is what a column holds unless
    it is a list: a network address, for example, can be iterated over as well. Anything else is
    judged by its looks.
    """
    if value is None:
        return []
    if is_row(value):
        return [value]
    if isinstance(value, list | tuple):
        return _existing(value)
    if isinstance(value, set | frozenset):
        return _in_order(value, order_key)
    if is_column or isinstance(value, str | bytes | bytearray | memoryview | Mapping):
        return [value]
    if _is_manager(value):
        return _existing(value.all())
    if not isinstance(value, Iterable):
        return [value]
    items = list(value)
    if _gives_fields(value, items):
        return [value]
    return _in_order(items, order_key) if _is_unordered(value) else _existing(items)


def _is_unordered(value: Iterable[Any]) -> bool:
    """Whether it is a collection like a set, as the relations of Pony are: it has no positions, and
    cannot be read from its end.
    """
    if not isinstance(value, Collection):
        return False
    return not hasattr(value, "__getitem__") and not hasattr(value, "__reversed__")


def _in_order(values: Iterable[Any], order_key: OrderKey) -> list[Any]:
    """The values of a collection without an order, sorted: else a document would change with the
    order in which a process happens to find them.
    """

    def place(value: Any) -> tuple[bool, float, str]:
        key = order_key(value)
        if isinstance(key, int | float):
            return False, key, ""
        return True, 0, str(key)

    return sorted(_existing(values), key=place)


def _existing(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _is_manager(value: object) -> bool:
    """Whether it is a related manager, as Django has them. Rows of some ORMs have the same methods,
    as class methods.
    """
    if isinstance(value, type | Iterable):
        return False
    methods = (getattr(value, "all", None), getattr(value, "filter", None))
    return all(getattr(method, "__self__", None) is value for method in methods)


def _gives_fields(value: object, items: list[Any]) -> bool:
    """Whether iterating over a value gave its own attributes as (name, value), as with pydantic's
    models: then it is one value.
    """
    first = items[0] if items else None
    if not isinstance(first, tuple) or len(first) != 2:
        return False
    return isinstance(first[0], str) and first[0] in getattr(value, "__dict__", ())


def as_text(value: object) -> str:
    """The value as text to be searched; "" for None. Raises InputError for bytes."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bytes | bytearray | memoryview):
        raise InputError(
            f"A field holds {type(value).__name__}, and only text can be searched.",
            hint="Map a callable that decodes it.",
        )
    if isinstance(plain, Mapping):
        plain = list(plain.values())
    if isinstance(plain, list | tuple):
        return _joined("\n", plain)
    return str(plain)


def _joined(separator: str, values: Iterable[object]) -> str:
    """The texts of several values with a separator between them; empty texts are left out."""
    return separator.join(filter(None, map(as_text, values)))


def as_metadata(values: list[Any]) -> Value | None:
    """The metadata that ``where`` filters by: one value as it is, several as text each; None if
    there is no value.
    """
    if not values:
        return None
    if len(values) > 1:
        return tuple(str(scalar(value)) for value in values)
    return scalar(values[0])


def scalar(value: object) -> str | bool | int | float:
    """One value of a row, or of a ``where``, in the form that metadata has. Raises InputError for
    bytes.
    """
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
    """The value as a plain type: text, number, bytes, list or mapping."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, date):
        return iso_text(value)
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if whole else float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value


def uuid_text(text: str) -> str:
    """A UUID in its usual spelling. text: the UUID in any spelling of a database or a person, for
    example without dashes or as bytes in hex. A text that is no UUID is returned unchanged.
    """
    try:
        return str(UUID(text.removeprefix("\\x")))
    except ValueError:
        return text


def _named(fields: Mapping[str, FieldPath] | Sequence[FieldPath]) -> dict[str, FieldPath]:
    """Metadata fields by name. A callable in a list has its own name."""
    if isinstance(fields, Mapping):
        return dict(fields)
    named: dict[str, FieldPath] = {}
    for field in _listed("metadata_fields", fields):
        named[field if isinstance(field, str) else field.__name__] = field
    return named


def _listed(what: str, fields: object) -> tuple[Any, ...]:
    """The fields as a tuple, checked. what: the argument, for messages. Raises ConfigError."""
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
"""Function -> its source, read at the declaration, since a deployment may replace the file later.
"""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def _source(function: FunctionType) -> str:
    """The source of a function with single blanks; "" if it cannot be read.

    All lambdas that begin in one line count as one, since Python knows the line of a function
    alone. The syntax tree gives their ends: `inspect.getsource` ends a lambda with its first line.
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
    """The source of each function of a module, decorators included, by name and first line."""
    lines = module.encode().splitlines(keepends=True)
    found: defaultdict[tuple[str, int], str] = defaultdict(str)
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            parts: list[ast.expr | ast.stmt] = [node, *getattr(node, "decorator_list", ())]
            first = min(parts, key=attrgetter("lineno"))
            last = node.end_lineno or node.lineno
            source = b"".join(lines[first.lineno - 1 : last - 1])
            source += lines[last - 1][: node.end_col_offset]
            single_blanks = " ".join(source[first.col_offset :].decode().split())
            found[getattr(node, "name", "<lambda>"), first.lineno] += single_blanks
    return dict(found)


def _stable_text(value: object) -> str:
    """A value as text that is the same in every process."""
    if isinstance(value, set | frozenset) or type(value).__repr__ is object.__repr__:
        return type(value).__qualname__
    return _ADDRESS.sub("", repr(value))


def _fingerprint_of(value: Any) -> object:
    """What a callable does, as JSON values: its source, or its name if it has no source."""
    if isinstance(value, partial):
        arguments = [_stable_text(each) for each in value.args]
        keywords = {name: _stable_text(each) for name, each in value.keywords.items()}
        return [value.func, arguments, keywords]
    function = inspect.unwrap(getattr(value, "__func__", value))
    if isinstance(function, FunctionType):
        return _source(function) or function.__qualname__
    if hasattr(value, "__qualname__"):
        return value.__qualname__
    called = type(value).__call__
    return [_stable_text(value), _source(called) if isinstance(called, FunctionType) else ""]


def _weighted(fields: tuple[FieldPath, ...]) -> tuple[tuple[FieldPath, ...], dict[str, float]]:
    """The fields without their weights, and the weights by field. Raises ConfigError."""
    names: list[FieldPath] = []
    weights: dict[str, float] = {}
    for field in fields:
        if callable(field) or WEIGHT not in field:
            names.append(field)
            continue
        name, _, written = field.partition(WEIGHT)
        try:
            weights[name] = check_boost(f"The field {clip(field)}", float(written))
        except (ValueError, InputError) as error:
            raise ConfigError(
                f"The weight of a field must be a number above 0 and at most {MOST_BOOST:g}, got "
                f"{clip(field)}.",
                hint='Write source_fields=["title^3", "content"].',
            ) from error
        names.append(name)
    return tuple(names), weights


def _boosts(
    weights: Mapping[str, float], title: FieldPath | None, metadata: Mapping[str, FieldPath]
) -> dict[str, float]:
    """The weights by what a search knows of a document: its title and its metadata."""
    boosts: dict[str, float] = {}
    for field, weight in weights.items():
        names = [name for name, path in metadata.items() if path == field]
        if field == title:
            boosts[TITLE] = weight
        elif names:
            boosts[names[0]] = weight
        else:
            raise ConfigError(
                f"The field {field!r} has a weight, but is neither the title nor in "
                "metadata_fields; a search does not know where it stands in the text.",
                hint=f"Name it in metadata_fields=[{field!r}] too, or as title_field.",
            )
    return boosts


NO_CONTENT = ("boosts", "is_row", "is_column", "order_key", "fingerprint")
"""Fields of a declaration that change no document."""


@attrs.frozen
class Declaration:
    """The declaration of one index of one model.

    collection: of its documents; "" until an adapter names it after the table. name: of the
    attribute that declares the index. source_fields: the text, in this order, a blank line between
    them; names, dotted paths or callables that take the instance. title_field: the title; None
    takes a source field called "title" if there are others. boosts: by "title" or the name of a
    metadata field, how much it counts, see `RankingOptions`; they change no document.
    metadata_fields: what ``where`` can filter by: a list, or {name: field}. condition: a callable
    that takes the instance; rows for which it is false are not indexed. soft_delete: a field that
    is true (a date, a flag) if a row counts as deleted. tenant: the field or callable that names
    the tenant of a row. watch_fields: columns that callables read; without it triggers capture
    changes of every column if there are callables. version: increase it when a callable gives other
    values though its own source is the same. is_row, is_column: distinguish rows and columns from
    other values; order_key: see `OrderKey`; adapters supply all three.
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
    boosts: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    is_row: IsRow = attrs.field(default=never, eq=False, repr=False)
    is_column: IsColumn = attrs.field(default=unknown, eq=False, repr=False)
    order_key: OrderKey = attrs.field(default=itself, eq=False, repr=False)
    fingerprint: str = attrs.field(init=False, eq=False, repr=False)
    """16 hex digits that change when the documents of the same rows would change.

    A callable counts by its source, as it was at the declaration, and a partial function by its
    arguments as well. Not covered: the functions that a callable calls, values from outside of it
    (closures, globals, attributes), and all but the name of a callable without source.
    """

    @fingerprint.default
    def _computed_fingerprint(self) -> str:
        values: dict[str, Any] = {}
        for field in attrs.fields(Declaration):
            if field.name not in NO_CONTENT:
                values[field.name] = getattr(self, field.name)
        text = json.dumps(values, default=_fingerprint_of, sort_keys=True)
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
        """Create a declaration from checked arguments.

        A weight may follow the name of a source field or of the title, as in "title^3". The field
        has to be the title, or to be in metadata_fields as well. Raises ConfigError.
        """
        check_name("A collection", collection, empty=True)
        sources, weights = _weighted(_listed("source_fields", source_fields))
        if title_field is not None:
            (title_field,), of_title = _weighted((title_field,))
            weights |= of_title
        if not sources and title_field is None:
            raise ConfigError("source_fields is empty; an index needs a field to search in.")
        if title_field is None and TITLE in sources and len(sources) > 1:
            title_field = TITLE
            sources = tuple(field for field in sources if field != TITLE)
        named = _named(metadata_fields)
        return cls(
            collection=collection,
            name=name,
            source_fields=sources,
            title_field=title_field,
            metadata_fields=named,
            condition=condition,
            soft_delete=soft_delete,
            tenant=tenant,
            watch_fields=None if watch_fields is None else _listed("watch_fields", watch_fields),
            media_type=media_type,
            language=language,
            version=version,
            boosts=_boosts(weights, title_field, named),
        )

    def ranking(
        self, given: RankingOptions | Mapping[str, Any] | None
    ) -> RankingOptions | Mapping[str, Any] | None:
        """The `ranking` of a search of this index, with its boosts unless others are given."""
        if not self.boosts or isinstance(given, RankingOptions):
            return given
        if given is None:
            return {"boosts": self.boosts}
        return {"boosts": self.boosts, **given} if isinstance(given, Mapping) else given

    def named_after(self, table: Table) -> Declaration:
        """The declaration with a collection: its own, or the table's name, with the part of the
        table that the model uses, and the index's name unless that is "search".
        """
        if self.collection:
            return self
        name = "" if self.name == DEFAULT_NAME else self.name
        collection = ".".join(filter(None, (table.name, table.part, name)))
        return attrs.evolve(self, collection=collection)

    def fields(self) -> Iterator[FieldPath]:
        """All fields that a document is made of, or that decide whether a row is indexed."""
        yield from self.source_fields
        yield from self.metadata_fields.values()
        for field in (self.title_field, self.soft_delete, self.tenant, self.condition):
            if field is not None:
                yield field

    @property
    def paths(self) -> tuple[str, ...]:
        """The dotted paths among the fields, and the watched fields, each once."""
        named = [field for field in self.fields() if isinstance(field, str)]
        return tuple(dict.fromkeys([*named, *(self.watch_fields or ())]))

    @property
    def reads_anything(self) -> bool:
        """Whether a callable may read any column, since no `watch_fields` name those it reads."""
        return self.watch_fields is None and any(map(callable, self.fields()))

    def read(self, instance: object, field: FieldPath) -> list[Any]:
        """The values of a field of a row."""
        return read(instance, field, self.is_row, self.is_column, self.order_key)

    def wants(self, instance: object) -> bool:
        """Whether this row, as it is now, belongs into the index."""
        if self.soft_delete is not None and any(self.read(instance, self.soft_delete)):
            return False
        return self.condition is None or bool(self.condition(instance))

    def document(
        self, ref: Ref, instance: object, read_metadata: Callable[[object, FieldPath], list[Any]]
    ) -> Document:
        """The document of a row.

        read_metadata: reads a metadata field of a row; a related row is represented by its key.
        Raises InputError for a value that cannot be text or metadata, and what a callable raises.
        """
        parts = [_joined("\n", self.read(instance, field)) for field in self.source_fields]
        title = ""
        if self.title_field is not None:
            texts = _joined(" ", self.read(instance, self.title_field))
            title = " ".join(texts.split())
        metadata: dict[str, Value] = {}
        for name, field in self.metadata_fields.items():
            value = as_metadata(read_metadata(instance, field))
            if value is not None:
                metadata[name] = value
        text = "\n\n".join(filter(None, parts))
        return Document(
            ref,
            text or title,  # a document without text would have no passage
            title=title,
            media_type=self.media_type,
            metadata=metadata,
            language=self.language,
        )
