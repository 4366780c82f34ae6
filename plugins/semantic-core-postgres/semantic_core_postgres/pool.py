"""Connections to the server, and the transactions that everything reads and writes in.

Tested by tests/test_writing.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import attrs
import psycopg
from psycopg import sql

from semantic_core.errors import SemanticCoreError, StoreMisuse
from semantic_core_postgres.errors import is_worth_repeating, translated

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    Raw = psycopg.Connection[Any]

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 5
"""How often a transaction is begun again after a deadlock, or a conflict with another one."""


class Statements:
    """The SQL of this plugin, with the names of its schema.

    Statements are written with ``{s}`` before the names of our tables, and ``{v}`` before the names
    of pgvector, so that they do not depend on the search path of a connection.
    """

    def __init__(self, schema: str, extension: str) -> None:
        self.schema = schema
        # In a statement with values a percent sign stands for itself if it is written twice.
        quoted = sql.Identifier(schema).as_string().replace("%", "%%")
        of_vectors = sql.Identifier(extension).as_string().replace("%", "%%")
        self._names = {"s": sql.SQL(quoted), "v": sql.SQL(of_vectors)}
        self._made: dict[str, str] = {}

    def name(self, table: str) -> str:
        """The quoted name of a table or sequence of ours, as a value."""
        return sql.Identifier(self.schema, table).as_string()

    def __call__(self, text: str) -> str:
        """The statement with its names; remembered, because most are constants."""
        made = self._made.get(text)
        if made is None:
            made = sql.SQL(text).format(**self._names).as_string()
            if len(self._made) < 1_000:
                self._made[text] = made
        return made


@attrs.frozen(eq=False)
class View:
    """A transaction."""

    raw: Raw
    statements: Statements

    def run(self, text: str, values: Any = ()) -> psycopg.Cursor[Any]:
        """Execute a statement; its cursor. values: for ``%s``, or by name for ``%(name)s``."""
        return self.raw.execute(self.statements(text), values)

    def rows(self, text: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.run(text, values).fetchall()

    def row(self, text: str, values: Any = ()) -> tuple[Any, ...] | None:
        """The first row of a query; None if there is none."""
        found: tuple[Any, ...] | None = self.run(text, values).fetchone()
        return found

    def value(self, text: str, values: Any = ()) -> Any:
        """The first value of the first row; None if there is no row."""
        found = self.row(text, values)
        return None if found is None else found[0]

    def many(self, text: str, rows: Sequence[Any]) -> None:
        """Execute a statement once for each of these rows of values."""
        if rows:
            with self.raw.cursor() as cursor:
                cursor.executemany(self.statements(text), rows)


class Transactions:
    """Runs functions in transactions, on connections of a pool.

    A snapshot belongs to the thread that began it: what this thread reads meanwhile is read in its
    transaction. A process that was forked gets a pool of its own when it first needs a connection.

    make_pool: opens a pool.
    """

    def __init__(
        self, make_pool: Callable[[], ConnectionPool[Raw]], statements: Statements
    ) -> None:
        self._make_pool = make_pool
        self._pools = {os.getpid(): make_pool()}
        self.statements = statements
        self._here = threading.local()
        self._closed = False

    @property
    def _pool(self) -> ConnectionPool[Raw]:
        """The pool of this process. That of the parent is kept and never used: to close it would
        end the connections of the parent.
        """
        process = os.getpid()
        pool = self._pools.get(process)
        if pool is None:
            made = self._make_pool()
            pool = self._pools.setdefault(process, made)
            if pool is not made:  # another thread was first
                made.close()
        return pool

    def check_open(self) -> None:
        """Raises StoreMisuse if the store was closed."""
        if self._closed:
            raise StoreMisuse(
                "wanted an open store, got one that is closed.", hint="Open it again."
            )

    def bind(self, statements: Statements) -> None:
        """Use these statements from now on."""
        self.statements = statements

    @property
    def in_snapshot(self) -> bool:
        """Whether this thread reads in a snapshot."""
        return self._snapshot_view() is not None

    def _snapshot_view(self) -> View | None:
        """The transaction of this thread's snapshot; None outside of one. A fork is in none."""
        process, view = getattr(self._here, "snapshot", (0, None))
        return view if process == os.getpid() else None

    def read(self, work: Callable[Concatenate[View, P], T], *args: P.args, **more: P.kwargs) -> T:
        """What `work` returns of one state of the store."""
        self.check_open()
        view = self._snapshot_view()
        if view is not None:
            with translated():
                return work(view, *args, **more)
        for attempt in range(TRIES):
            try:
                with translated(), self._began(writes=False) as begun:
                    return work(begun, *args, **more)
            except SemanticCoreError as error:
                if attempt + 1 == TRIES or not is_worth_repeating(error):
                    raise
        raise AssertionError("the loop returns or raises")

    def write(self, work: Callable[Concatenate[View, P], T], *args: P.args, **more: P.kwargs) -> T:
        """What `work` returns, in a transaction that is committed; begun again if the server says
        that it came into conflict with another one.

        Raises StoreMisuse in a snapshot.
        """
        self.check_open()
        if self.in_snapshot:
            raise StoreMisuse(
                "A snapshot only reads; got a write from within it.", hint="Write after the block."
            )
        for attempt in range(TRIES):
            try:
                with translated(), self._began(writes=True) as begun:
                    return work(begun, *args, **more)
            except SemanticCoreError as error:
                if attempt + 1 == TRIES or not is_worth_repeating(error):
                    raise
        raise AssertionError("the loop returns or raises")

    @contextmanager
    def _began(self, *, writes: bool) -> Iterator[View]:
        """A transaction on a connection of the pool."""
        with self._pool.connection() as raw:
            raw.isolation_level = (
                psycopg.IsolationLevel.READ_COMMITTED
                if writes
                else psycopg.IsolationLevel.REPEATABLE_READ
            )
            raw.read_only = not writes
            with raw.transaction():
                yield View(raw, self.statements)

    def snapshot(self) -> AbstractContextManager[None]:
        """See `Store.snapshot`."""
        self.check_open()
        return self._snapshot()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        if self.in_snapshot:
            yield
            return
        with translated(), self._began(writes=False) as view:
            view.run("select 1")  # the state is chosen by the first statement
            self._here.snapshot = (os.getpid(), view)
            try:
                yield
            finally:
                self._here.snapshot = (0, None)

    def close(self) -> None:
        """Close all connections."""
        if not self._closed:
            self._closed = True
            self._pool.close()
