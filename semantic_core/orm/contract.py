"""The contract of an ORM adapter: what a subclass has to supply, and how a row becomes a document.

Outbox, triggers and sync coordinator know adapters by `AdapterContract` alone.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, wraps
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Literal, ParamSpec, TypeVar

import attrs

from semantic_core._interruption import cut_cleanly
from semantic_core._validation import did_you_mean
from semantic_core.errors import ConfigError, is_interruption
from semantic_core.orm.declaration import Declaration, FieldPath, as_text, uuid_text
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import Dialect, Table
from semantic_core.types import Document, Failure, Ref

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

Backfill = Literal["background", "now", "off"]
"""When existing rows are indexed. "background": by a thread of this process. "now": before
`install` returns. "off": when `reindex`, `SemanticCore.sync` or ``semantic-core worker`` runs.
"""
CaptureMode = Literal["triggers", "events"]
Strategy = Literal["inline", "background", "manual"]

P = ParamSpec("P")
R = TypeVar("R")


def in_one_connection(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Decorate a method so that it runs within `AdapterContract.connected` of its object."""

    @wraps(method)
    @cut_cleanly
    def called(self: Any, /, *args: P.args, **options: P.kwargs) -> R:
        with self.connected():
            return method(self, *args, **options)

    return called


class AdapterContract(ABC):
    """One model with its declaration, as outbox, triggers and sync coordinator see it.

    Adapters derive from `BaseORMAdapter`, which implements this class.
    """

    placeholder: str = ""
    """The parameter placeholder of `execute`; "" means "?" on SQLite and "%s" elsewhere. One with a
    1 in it, such as "$1" or ":p1", is numbered; see `Sql`.
    """
    install_step: ClassVar[str] = "call init_database()"
    """The step that installs the indexes of an application, as messages name it."""
    same_transaction: bool = False
    """Whether the index lives in the application's own database.
    Then its texts are written within the application's transactions.
    """

    model: type
    core: SemanticCore
    declaration: Declaration
    capture: CaptureMode
    strategy: Strategy
    backfill: Backfill = "background"
    installed: bool = False
    """Whether this process has installed the index."""
    uninstalled: bool = False
    """Whether `uninstall` was called, and `install` not since. Then no background work is done for
    this index.
    """

    @property
    @abstractmethod
    def capturing(self) -> bool:
        """Whether changes are captured: all triggers of this version exist, or, with
        ``capture="events"``, the adapter listens to the ORM's events.
        """

    @abstractmethod
    def install(self, *, backfill: Backfill | None = None) -> bool:
        """See `BaseORMAdapter.install`."""

    # --- what a subclass supplies -----------------------------------------------------------------

    @property
    @abstractmethod
    def dialect(self) -> Dialect:
        """The SQL dialect of the model's database."""

    @property
    @abstractmethod
    def database(self) -> Hashable:
        """The identity of the model's database. Models with equal values share one outbox."""

    @classmethod
    @abstractmethod
    def serves(cls, model: type, **options: Any) -> bool:
        """Whether `model` is a model of this ORM with its own table in the database that the
        options name.
        """

    @abstractmethod
    def inspect(self, model: type) -> Table:
        """The table behind a model, this one or a related one."""

    @abstractmethod
    def execute(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement on the application's connection and return its rows.

        If this thread has an open transaction, the statement is part of it. Otherwise it is
        committed at once.
        """

    @abstractmethod
    def load(self, keys: Sequence[Any]) -> Iterable[Any]:
        """Return the current instances with these keys, in any order, in one query.

        A composite key is a tuple. No default filter may hide rows. The relations in `related`
        should be fetched in the same query. A generator may keep a session open until it is
        exhausted: documents are built while it runs.
        """

    @abstractmethod
    def on_commit(self, wake: Callable[[], None]) -> None:
        """Arrange, once, that ``wake()`` is called after each commit that may have written.

        The call must happen outside of any transaction. Extra calls do no harm. A missed call does
        none either: the next call finds the pending changes.
        """

    def keys_of_query(self, query: object) -> Iterable[Any] | None:
        """For ``among``: run a query of this ORM that gives rows of the model, and return their
        primary keys, in any order; a tuple each for a composite key. None if it is no query of this
        ORM.

        Its conditions, joins, limit and offset hold; its columns do not matter. Raises InputError
        for a query of another model, see `semantic_core.orm.refused`. The default is None: then
        whatever is iterable is read as instances or keys, so a query that gives instances works,
        and reads whole rows.
        """
        return None

    def connect(self) -> None:
        """For ``capture="events"``: listen to saves and deletes, and call `changed` inside their
        transaction.
        """
        raise ConfigError(
            f'{type(self).__name__} has no capture="events".', hint='Use capture="triggers".'
        )

    def disconnect(self) -> None:
        """Undo `connect`."""
        return

    def connected(self) -> AbstractContextManager[Any]:
        """Return a block in which this thread has a database connection.

        A connection that had to be opened for the block is closed at its end. An ORM that manages
        connections itself needs nothing here, so the default does nothing.
        """
        return nullcontext()

    def release(self) -> None:
        """Release this thread's connection. An idle worker thread calls this."""
        return

    def close(self) -> None:
        """Release what the adapter holds for its database besides connections of threads, such as
        the thread of an `AsyncBridge`. Called when the core is closed; the adapter of another core
        may still be in use, and then takes it anew. The default does nothing.
        """
        return

    def atomic(self) -> AbstractContextManager[Any]:
        """Return a block in which the statements of `execute` are one transaction.

        The default commits each statement by itself. That is correct, but slower.
        """
        return nullcontext()

    @property
    def shared_by_threads(self) -> bool:
        """Whether other threads reach the same database. False for a database in memory."""
        return True

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has an open transaction that `execute` takes part in. Then pending
        changes are processed only on request.
        """
        return False

    @property
    def sql(self) -> Sql:
        """The adapter's connection, as outbox and triggers use it."""
        return Sql(self.execute, self.dialect, self.placeholder)

    # --- rows and their documents -----------------------------------------------------------------

    @cached_property
    def table(self) -> Table:
        """The model's own table."""
        return self.inspect(self.model)

    def _lineage(self, table: Table) -> Iterator[Table]:
        """Yield a table and the tables of its parent models, nearest first."""
        yield table
        for base in table.bases:
            yield from self._lineage(self.inspect(base.model))

    @cached_property
    def _family(self) -> tuple[Table, ...]:
        return tuple(self._lineage(self.table))

    @property
    def table_names(self) -> set[str]:
        """The names of the model's own table and of its parents' tables."""
        return {table.name for table in self._family}

    @cached_property
    def related(self) -> tuple[str, ...]:
        """Dotted paths of the to-one relations that the declaration reads through. `load` should
        fetch them in its query.
        """
        found: dict[str, None] = {}
        for path in self.declaration.paths:
            table = self.table
            parts = path.split(".")
            for depth, name in enumerate(parts[:-1]):
                owner = _owner_of_relation(self._lineage(table), name)
                if owner is None or not owner.leads_to_one(name):
                    break
                found[".".join(parts[: depth + 1])] = None
                table = self.inspect(owner.relations[name].model)
        return tuple(found)

    @cached_property
    def prefetched(self) -> tuple[str, ...]:
        """Dotted paths of all relations that the declaration reads, those to several rows included.
        For an ORM that loads no relation while a row is read: then `load` has to load these.
        """
        found: dict[str, None] = {}
        for path in self.declaration.paths:
            tables = list(self._family)
            parts = path.split(".")
            for depth, name in enumerate(parts):
                owner = _owner_of_relation(tables, name)
                if owner is None:
                    break
                found[".".join(parts[: depth + 1])] = None
                tables = list(self._lineage(self.inspect(owner.relations[name].model)))
        return tuple(found)

    def is_row(self, value: object) -> bool:
        """Whether a value is a row of this model or of a related one. A row counts as one value,
        even where it is iterable.
        """
        return isinstance(value, self._row_types)

    @cached_property
    def _row_types(self) -> tuple[type, ...]:
        """The model, its related models, and the models that the declaration's paths lead to."""
        found = [self.model]
        for table in self._family:
            for relation in table.relations.values():
                found.append(relation.model)
        for path in self.declaration.paths:
            tables = list(self._family)
            for name in path.split("."):
                reached: list[Table] = []
                for table in tables:
                    if name in table.relations:
                        model = table.relations[name].model
                        found.append(model)
                        reached += self._lineage(self.inspect(model))
                tables = reached
        return tuple(dict.fromkeys(found))

    def is_column(self, instance: object, name: str) -> bool:
        """Whether this attribute of a row of this model, or of a related one, is a column."""
        row_type = type(instance)
        known = self._columns_of.get(row_type)
        if known is None:
            known = self._read_columns(row_type)
            self._columns_of[row_type] = known
        return name in known

    @cached_property
    def _columns_of(self) -> dict[type, frozenset[str]]:
        """The attributes of each class of rows that are columns, as far as they were asked for."""
        return {}

    def order_key(self, value: object) -> object:
        """What the values of a collection without an order are sorted by: the key of a row of this
        model or of a related one, else the value itself.
        """
        for model in type(value).__mro__:
            if model in self._row_types:
                return self._key_of_related(model, value)
        return value

    def _read_columns(self, row_type: type) -> frozenset[str]:
        for model in row_type.__mro__:
            if model in self._row_types:
                found: set[str] = set()
                for table in self._lineage(self.inspect(model)):
                    found.update(table.columns.keys() - table.relations.keys())
                return frozenset(found)
        return frozenset()

    @cached_property
    def tenant_column(self) -> str | None:
        """The column of the model's own table that names the tenant; None if there is none."""
        tenant = self.declaration.tenant
        table = self.table
        if not isinstance(tenant, str):
            return None
        if tenant in table.relations:
            return table.relations[tenant].own if table.leads_to_one(tenant) else None
        return table.columns.get(tenant)

    @property
    def places_rows(self) -> bool:
        """Whether the outbox has to store at which tenants the documents of a row are.

        Triggers know the old and the new value of a tenant column. Where the tenant is no column of
        the table, and for events, which know the current row alone, the former tenant of a changed
        row could not be found otherwise.
        """
        if self.declaration.tenant is None:
            return False
        return self.tenant_column is None or self.capture == "events"

    @property
    def made_of(self) -> str:
        """The fingerprint of what documents are made of."""
        fingerprint = self.declaration.fingerprint
        return f"{fingerprint}.placed" if self.places_rows else fingerprint

    def key_of(self, instance: Any) -> str:
        """The key of a row as its document has it: the value as text, or a JSON array of texts for
        a composite key.
        """
        return self.key_text(_key_values(self.table, instance))

    def key_text(self, values: Sequence[Any]) -> str:
        """The text form of a key with these values, one for each column of the key."""
        texts = [str(value) for value in values]
        if len(texts) == 1:
            return texts[0]
        return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))

    def parse_key(self, text: str) -> Any:
        """Parse the text form of a key into the key that `load` takes. Raises ValueError."""
        parsers = list(self.table.key.values())
        texts = [text] if len(parsers) == 1 else json.loads(text)
        parts: list[Any] = []
        try:
            for parse, part in zip(parsers, texts, strict=True):
                parts.append(parse(part))
        except Exception as error:  # the ORM's parsers may raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return parts[0] if len(parsers) == 1 else tuple(parts)

    def canonical(self, row_key: str) -> str:
        """Convert a key as the database writes it into the key that documents have."""
        key = self.parse_key(row_key)
        return self.key_text(key if isinstance(key, tuple) else (key,))

    def rows(
        self, keys: Iterable[str], unreadable: Callable[[str, Exception], None] | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Yield (key, instance) for each of these rows that exists, in any order.

        Use an instance before asking for the next one: related rows may be read only as long as
        `load` keeps its connection. unreadable: called with the key of a row that the ORM fails to
        read, and the error; None skips such rows. Raises what the ORM raises if the database
        cannot be queried at all.
        """
        parsed: dict[str, Any] = {}
        for key in dict.fromkeys(keys):
            try:
                parsed[key] = self.parse_key(key)
            except ValueError:  # the document is older than a change of the key's type: no row
                continue
        yield from self._loaded(parsed, unreadable or _skip)

    def _loaded(
        self, wanted: Mapping[str, Any], unreadable: Callable[[str, Exception], None]
    ) -> Iterator[tuple[str, Any]]:
        """Yield (key, instance). After an error the remaining rows are read in two halves, so that
        a row that cannot be read does not keep the others from being read.
        """
        if not wanted:
            return
        seen: set[str] = set()
        try:
            for instance in self.load(list(wanted.values())):
                key = self.key_of(instance)
                seen.add(key)
                yield key, instance
        except Exception as error:  # the ORM may raise anything
            if is_interruption(error):
                raise
            # The frames keep the half-read query open, which on SQLite blocks writers.
            clear_frames(error.__traceback__)
            error.__traceback__ = None
            self.execute("SELECT 1")  # raises if the database, and not a row, is the cause
            left = [key for key in wanted if key not in seen]
            if len(left) == 1:
                unreadable(left[0], error)
                return
            middle = len(left) // 2
            for half in (left[:middle], left[middle:]):
                yield from self._loaded({key: wanted[key] for key in half}, unreadable)

    def documents(self, refs: Sequence[Ref]) -> Iterator[Document | Failure]:
        """Yield the documents of those of these rows that belong into the index, and a Failure for
        each row whose document cannot be built.
        """
        wanted: dict[str, list[Ref]] = {}
        for ref in refs:
            wanted.setdefault(ref.key, []).append(ref)
        errors: dict[str, Exception] = {}
        for key, instance in self.rows(wanted, errors.__setitem__):
            made = self.made(key, instance)
            if isinstance(made, Failure):
                for ref in wanted.get(key, ()):
                    yield attrs.evolve(made, what=str(ref))
            elif made is not None and made.ref in wanted.get(key, ()):
                yield made
        for key, error in errors.items():
            for ref in wanted.get(key, ()):
                yield self.unreadable(str(ref), error)

    def unreadable(self, what: str, error: Exception) -> Failure:
        """The failure of a row that the ORM cannot read. what: the ref of its document."""
        kind = type(error).__name__
        first_line = str(error).partition("\n")[0]
        return Failure(what, kind, f"The row cannot be read: {kind}: {first_line}")

    def made(self, key: str, instance: Any) -> Document | Failure | None:
        """The document of a row; None if the row does not belong into the index; a Failure if its
        document cannot be built.
        """
        try:
            return self.document(key, instance)
        except Exception as error:
            if is_interruption(error):
                raise
            # Raised by a field or callable of the application; stored with the pending change.
            kind = type(error).__name__
            return Failure(f"{self.declaration.collection}/{key}", kind, f"{kind}: {error}")

    def document(self, key: str, instance: Any) -> Document | None:
        """The document of a row; None if the row does not belong into the index."""
        if not self.declaration.wants(instance):
            return None
        ref = Ref(self.declaration.collection, key, self.tenant_of(instance))
        return self.declaration.document(ref, instance, self.read_metadata)

    def tenant_of(self, instance: object) -> str:
        """The tenant of a row; "" if the index has no tenants or the field is None."""
        tenant = self.declaration.tenant
        if tenant is None:
            return ""
        values = self.declaration.read(instance, tenant)
        return self.tenant_name(values[0]) if values else ""

    def tenant_name(self, value: object) -> str:
        """The name of a tenant as documents have it. value: of the row or the caller, or the text
        that the database writes.

        UUIDs get their usual spelling. All other names are compared exactly.
        """
        text = as_text(value)
        return uuid_text(text) if self.tenant_column in self.table.uuids else text

    def read_metadata(self, instance: object, field: FieldPath) -> list[Any]:
        """The values of a metadata field. A related row is represented by its key."""
        attribute = self._foreign_key_attribute(field)
        if attribute is not None:
            value = getattr(instance, attribute)
            return [] if value is None else [value]
        return [self.related_key(value) for value in self.declaration.read(instance, field)]

    def _foreign_key_attribute(self, field: FieldPath) -> str | None:
        """The attribute that holds the raw value of a foreign key; None for any other field."""
        if not isinstance(field, str):
            return None
        table = _owner_of_relation(self._family, field)
        if table is None or not table.leads_to_one(field):
            return None
        own = table.relations[field].own
        for attribute, column in table.columns.items():
            if column == own:
                return attribute
        return None

    def related_key(self, value: object) -> object:
        """The key of an instance of a related model; any other value unchanged."""
        for table in self._family:
            for relation in table.relations.values():
                if isinstance(value, relation.model):
                    return self._key_of_related(relation.model, value)
        return value

    def _key_of_related(self, model: type, instance: object) -> object:
        table = self.inspect(model)
        values = _key_values(table, instance)
        return values[0] if len(values) == 1 else self.key_text(values)

    def check_fields(self) -> None:
        """Raise ConfigError for a declared field that the model does not have."""
        table = self.table
        for path in self.declaration.paths:
            first = path.partition(".")[0]
            known = {*table.columns, *table.relations}
            if first not in known and not hasattr(self.model, first):
                raise ConfigError(
                    f"{self.model.__name__} has no field {first!r}.{did_you_mean(first, known)}",
                    hint=f"It has {', '.join(sorted(known))}.",
                )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __str__(self) -> str:
        return f"the index {self.declaration.collection!r} of {self.model.__name__}"


def _owner_of_relation(tables: Iterable[Table], name: str) -> Table | None:
    """The first of these tables that has a relation of this name; None if none has."""
    for table in tables:
        if name in table.relations:
            return table
    return None


def _key_values(table: Table, instance: object) -> list[Any]:
    return [getattr(instance, attribute) for attribute in table.key]


def _skip(key: str, error: Exception) -> None:
    """Ignore a row that cannot be read."""
