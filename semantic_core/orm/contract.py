"""What the machinery knows of an adapter: what its subclass supplies,
and how rows become documents.
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
from semantic_core.orm.tables import Dialect, Table
from semantic_core.types import Document, Failure, Ref

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

Backfill = Literal["background", "now", "off"]
"""When rows that are there already are brought into an index: by a thread of this process; before
`install` returns; or when somebody calls `reindex`, `SemanticCore.sync` or
``semantic-core worker``."""
CaptureMode = Literal["triggers", "events"]
Strategy = Literal["inline", "background", "manual"]

P = ParamSpec("P")
R = TypeVar("R")


def in_one_connection(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method that runs within `AdapterContract.connected` of its object."""

    @wraps(method)
    @cut_cleanly
    def called(self: Any, /, *args: P.args, **options: P.kwargs) -> R:
        with self.connected():
            return method(self, *args, **options)

    return called


class AdapterContract(ABC):
    """A model with its declaration, as outbox, triggers and coordinator see it.

    Adapters derive from `BaseORMAdapter`.
    """

    placeholder: ClassVar[str] = ""
    """How `execute` wants parameters marked; "" means "?" on SQLite and "%s" elsewhere."""
    install_step: ClassVar[str] = "call init_database()"
    """What installs the indexes of an application, for messages."""
    same_transaction: bool = False
    """Whether the index lives in the application's own database,
    so that texts are written within its transactions.
    """

    model: type
    core: SemanticCore
    declaration: Declaration
    capture: CaptureMode
    strategy: Strategy
    backfill: Backfill = "background"
    installed: bool = False
    """Whether this process has installed it."""
    uninstalled: bool = False
    """Whether `uninstall` was called, and `install` not since:
    then nothing of this index happens by itself.
    """

    @property
    @abstractmethod
    def capturing(self) -> bool:
        """Whether its triggers, all of this version, are there;
        for events, whether it hears them.
        """

    @abstractmethod
    def install(self, *, backfill: Backfill | None = None) -> bool:
        """See `BaseORMAdapter.install`."""

    # --- what a subclass supplies -----------------------------------------------------------------

    @property
    @abstractmethod
    def dialect(self) -> Dialect:
        """The SQL of the database the model lives in."""

    @property
    @abstractmethod
    def database(self) -> Hashable:
        """Which database it is; equal for models of one database. They share an outbox."""

    @classmethod
    @abstractmethod
    def serves(cls, model: type, **options: Any) -> bool:
        """Whether it is a model of this ORM with a table of its own,
        in the database the options name.
        """

    @abstractmethod
    def inspect(self, model: type) -> Table:
        """The table behind a model, this one or a related one."""

    @abstractmethod
    def execute(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement on the application's connection and give its rows.

        Within a transaction of this thread it is part of it; otherwise it is committed at once.
        """

    @abstractmethod
    def load(self, keys: Sequence[Any]) -> Iterable[Any]:
        """The instances with these keys as they are now, in any order, in one query;
        a composite key is a tuple.

        No default filter may hide rows. Worth fetching along: `related`. A generator may keep a
        session open until it is used up: documents are made while it runs.
        """

    @abstractmethod
    def on_commit(self, wake: Callable[[], None]) -> None:
        """Arrange, once, that ``wake()`` is called after each commit that may have written,
        outside of any transaction.

        Too often does no harm, and neither does a miss: the next wake finds it.
        """

    def connect(self) -> None:
        """For ``capture="events"``: hear of saves and deletes,
        and call `changed` inside their transaction.
        """
        raise ConfigError(
            f'{type(self).__name__} has no capture="events".', hint='Use capture="triggers".'
        )

    def disconnect(self) -> None:
        """Undo `connect`."""
        return

    def connected(self) -> AbstractContextManager[Any]:
        """A block in which this thread has a connection;
        one that had to be opened for it is closed at its end.

        An ORM that looks after its connections by itself needs none: nothing happens.
        """
        return nullcontext()

    def release(self) -> None:
        """Let go of this thread's connection; called by a worker thread that has nothing to do."""
        return

    def atomic(self) -> AbstractContextManager[Any]:
        """A block in which the statements of `execute` are one transaction. Without it each is
        committed by itself, which is as right, and slower."""
        return nullcontext()

    @property
    def shared_by_threads(self) -> bool:
        """Whether another thread finds the same database; not so for one in memory."""
        return True

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this thread is open that `execute` takes part in;
        then nothing is worked off unasked.
        """
        return False

    # --- rows and their documents -----------------------------------------------------------------

    @cached_property
    def table(self) -> Table:
        """The model's own table."""
        return self.inspect(self.model)

    def _lineage(self, table: Table) -> Iterator[Table]:
        """A table, and those of the parents its rows have a part in, nearest first."""
        yield table
        for base in table.bases:
            yield from self._lineage(self.inspect(base.model))

    @cached_property
    def _family(self) -> tuple[Table, ...]:
        return tuple(self._lineage(self.table))

    @cached_property
    def related(self) -> tuple[str, ...]:
        """Dotted paths of relations to one row that the declaration reads through:
        what `load` does well to fetch along.
        """
        found: dict[str, None] = {}
        for path in self.declaration.paths:
            table = self.table
            parts = path.split(".")
            for depth, name in enumerate(parts[:-1]):
                owner = next(
                    (each for each in self._lineage(table) if name in each.relations), None
                )
                if owner is None or not owner.leads_to_one(name):
                    break
                found[".".join(parts[: depth + 1])] = None
                table = self.inspect(owner.relations[name].model)
        return tuple(found)

    def is_row(self, value: object) -> bool:
        """Whether a value is a row, of the model or of one it is related to: one thing,
        though it may be iterable.
        """
        return isinstance(value, self._row_types)

    @cached_property
    def _row_types(self) -> tuple[type, ...]:
        """The model, those next to it, and those that the paths of the declaration lead to."""
        found = [
            self.model,
            *(relation.model for table in self._family for relation in table.relations.values()),
        ]
        for path in self.declaration.paths:
            tables = list(self._family)
            for name in path.split("."):
                steps = [table.relations[name] for table in tables if name in table.relations]
                found += [step.model for step in steps]
                tables = [
                    each for step in steps for each in self._lineage(self.inspect(step.model))
                ]
        return tuple(dict.fromkeys(found))

    @cached_property
    def tenant_column(self) -> str | None:
        """The column of the own table that names the tenant; None if there is none."""
        tenant = self.declaration.tenant
        table = self.table
        if not isinstance(tenant, str):
            return None
        if tenant in table.relations:
            return table.relations[tenant].own if table.leads_to_one(tenant) else None
        return table.columns.get(tenant)

    @property
    def places_rows(self) -> bool:
        """Whether whose a row is, or was, can only be told while it is so;
        then it is written down where it was put.

        Triggers know the old value of a column and the new one; an event knows the row as it is.
        """
        if self.declaration.tenant is None:
            return False
        return self.tenant_column is None or self.capture == "events"

    def key_of(self, instance: Any) -> str:
        """The key of a row as its document has it: the value as text,
        a JSON array of texts for a composite key.
        """
        return self.key_text([getattr(instance, attribute) for attribute in self.table.key])

    def key_text(self, values: Sequence[Any]) -> str:
        """The key made of these values."""
        texts = [str(value) for value in values]
        return (
            texts[0]
            if len(texts) == 1
            else json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
        )

    def parse_key(self, text: str) -> Any:
        """The key a text stands for, as `load` takes it. Raises ValueError."""
        parsers = list(self.table.key.values())
        texts = [text] if len(parsers) == 1 else json.loads(text)
        try:
            parts = tuple(parse(part) for parse, part in zip(parsers, texts, strict=True))
        except Exception as error:  # parsers are the ORM's own, and so is what they raise
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return parts[0] if len(parsers) == 1 else parts

    def canonical(self, row_key: str) -> str:
        """The key as documents have it, of the form the database writes it in."""
        key = self.parse_key(row_key)
        return self.key_text(key if isinstance(key, tuple) else (key,))

    def rows(
        self, keys: Iterable[str], unreadable: Callable[[str, Exception], None] | None = None
    ) -> Iterator[tuple[str, Any]]:
        """(key, instance) of those of these rows that exist, in any order. Worth using while it
        runs: related rows may be read only as long as `load` keeps its connection.

        unreadable: called with the key of a row the ORM fails on, and its error; None leaves such
        rows out. Raises what the ORM raises if the database cannot be asked at all.
        """
        parsed: dict[str, Any] = {}
        for key in dict.fromkeys(keys):
            try:
                parsed[key] = self.parse_key(key)
            except ValueError:  # of a document from before the key had another type: no row has it
                continue
        yield from self._loaded(parsed, unreadable or (lambda key, error: None))

    def _loaded(
        self, wanted: Mapping[str, Any], unreadable: Callable[[str, Exception], None]
    ) -> Iterator[tuple[str, Any]]:
        """Rows that cannot be read are found by halving, so that they take no others along."""
        if not wanted:
            return
        seen: set[str] = set()
        try:
            for instance in self.load(list(wanted.values())):
                key = self.key_of(instance)
                seen.add(key)
                yield key, instance
        except Exception as error:  # the ORM's own; told of the row it is about
            if is_interruption(error):
                raise
            # Its frames keep the half-read query alive, and on SQLite that one keeps writers out.
            clear_frames(error.__traceback__)
            error.__traceback__ = None
            self.execute("SELECT 1")  # raises if it is the database, and not a row
            left = {key: value for key, value in wanted.items() if key not in seen}
            if len(left) == 1:
                unreadable(next(iter(left)), error)
                return
            keys = list(left)
            for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                yield from self._loaded({key: left[key] for key in half}, unreadable)

    def documents(self, refs: Sequence[Ref]) -> Iterator[Document | Failure]:
        """The documents of the rows that belong into the index among these;
        a Failure for each that cannot be made.
        """
        wanted: dict[str, list[Ref]] = {}
        for ref in refs:
            wanted.setdefault(ref.key, []).append(ref)
        failed: list[tuple[str, Exception]] = []
        for key, instance in self.rows(wanted, lambda key, error: failed.append((key, error))):
            made = self.made(key, instance)
            if isinstance(made, Failure):
                yield from (attrs.evolve(made, what=str(ref)) for ref in wanted.get(key, ()))
            elif made is not None and made.ref in wanted.get(key, ()):
                yield made
        for key, error in failed:
            yield from (self.unreadable(str(ref), error) for ref in wanted.get(key, ()))

    def unreadable(self, what: str, error: Exception) -> Failure:
        """The failure of a row the ORM cannot read."""
        reason = (
            f"The row cannot be read: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        )
        return Failure(what, type(error).__name__, reason)

    def made(self, key: str, instance: Any) -> Document | Failure | None:
        """The document of a row; None if it does not belong into the index;
        a Failure if it cannot be made.
        """
        try:
            return self.document(key, instance)
        except Exception as error:
            if is_interruption(error):
                raise
            # Fields and callables of the application; kept with the ticket.
            return Failure(
                f"{self.declaration.collection}/{key}",
                type(error).__name__,
                f"{type(error).__name__}: {error}",
            )

    def document(self, key: str, instance: Any) -> Document | None:
        """The document of a row; None if it does not belong into the index."""
        if not self.declaration.wants(instance):
            return None
        ref = Ref(self.declaration.collection, key, self.tenant_of(instance))
        return self.declaration.document(ref, instance, self.read_metadata)

    def tenant_of(self, instance: object) -> str:
        """Whose the row is; "" where the index keeps no tenants, and where the field is None."""
        tenant = self.declaration.tenant
        if tenant is None:
            return ""
        return next(map(self.tenant_name, self.declaration.read(instance, tenant)), "")

    def tenant_name(self, value: object) -> str:
        """A tenant's name as documents have it: of the value a row or a caller has, or of the text
        the database writes. UUIDs have their usual spelling, all else is compared to the letter.
        """
        text = as_text(value)
        return uuid_text(text) if self.tenant_column in self.table.uuids else text

    def read_metadata(self, instance: object, field: FieldPath) -> list[Any]:
        """The values of a metadata field; a related row stands there as its key."""
        table = next(
            (each for each in self._family if isinstance(field, str) and field in each.relations),
            None,
        )
        if table is not None and isinstance(field, str) and table.leads_to_one(field):
            own = table.relations[field].own
            attribute = next(
                (name for name, column in table.columns.items() if column == own), None
            )
            if attribute is not None:
                return [value for value in [getattr(instance, attribute)] if value is not None]
        return [self.related_key(value) for value in self.declaration.read(instance, field)]

    def related_key(self, value: object) -> object:
        """The key of an instance of a related model; any other value as it is."""
        for relation in (each for table in self._family for each in table.relations.values()):
            if isinstance(value, relation.model):
                table = self.inspect(relation.model)
                return (
                    self.key_text([getattr(value, attribute) for attribute in table.key])
                    if len(table.key) > 1
                    else getattr(value, next(iter(table.key)))
                )
        return value

    def check_fields(self) -> None:
        """ConfigError for a field the model does not have."""
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
