"""What a `SemanticIndex` says of a model, checked once: which fields are text, title and metadata,
and which rows count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    canonical_tenant,
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
    it when a callable changes what it gives.
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

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when documents would be made otherwise."""
        told = attrs.asdict(self, recurse=False, filter=lambda field, value: field.name != "is_row")
        text = json.dumps(
            told, default=lambda value: getattr(value, "__qualname__", repr(value)), sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def read(self, instance: object, field: FieldPath) -> list[Any]:
        """The values a field of a row has."""
        return read(instance, field, self.is_row)

    def wants(self, instance: object) -> bool:
        """Whether this row belongs into the index, as it is now."""
        if self.soft_delete is not None and any(self.read(instance, self.soft_delete)):
            return False
        return self.condition is None or bool(self.condition(instance))

    def tenant_of(self, instance: object) -> str:
        """Whose the row is; "" where the index keeps no tenants, and where the field is None."""
        if self.tenant is None:
            return ""
        return canonical_tenant(
            next((as_text(value) for value in self.read(instance, self.tenant)), "")
        )

    def document(
        self, key: str, instance: object, read_metadata: Callable[[object, FieldPath], list[Any]]
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
            Ref(self.collection, key, self.tenant_of(instance)),
            # A document without text has no passage to be found by.
            "\n\n".join(part for part in parts if part) or title,
            title=title,
            media_type=self.media_type,
            metadata={name: value for name, value in values.items() if value is not None},
            language=self.language,
        )
