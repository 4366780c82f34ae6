"""What the checks of an adapter work with: a `Bench` with a database, a core, indexes of the kit's
models and short methods for what a check does.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any, Never

from semantic_core.core import SemanticCore
from semantic_core.errors import EmbedderUnavailable, StoreUnavailable
from semantic_core.orm import BaseORMAdapter
from semantic_core.orm.sync import SyncCoordinator
from semantic_core.testing.adapters.harness import AdapterHarness, Capability, OpenHarness
from semantic_core.testing.check import Check, expect, same, skip
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.types import Document, IngestReport, Ref

SOURCES: Mapping[str, list[str]] = {
    "author": ["name"],
    "article": ["title", "content"],
    "tag": ["name"],
    "seat": ["label"],
    "page": ["body"],
    "parcel": ["content"],
    "note": ["body"],
    "media": ["title"],
    "book": ["title", "blurb"],
}
"""The default source fields of an index of each model."""


class Undone(Exception):
    """Raised in a transaction to have it rolled back."""


class BenchEmbedder(HashEmbedder):
    """A `HashEmbedder` that can interrupt a sync and fail.

    meanwhile: called once, in the middle of a sync: after rows were read, before their documents
    are written. fail_after: number of calls that succeed before all others fail; None for no
    failure.
    """

    meanwhile: Callable[[], object] | None = None
    fail_after: int | None = None

    def embed_documents(self, passages: Sequence[str]) -> Any:
        """See `HashEmbedder.embed_documents`."""
        if self.fail_after is not None and self.calls >= self.fail_after:
            raise EmbedderUnavailable("the provider is down")
        meanwhile = self.meanwhile
        self.meanwhile = None
        if meanwhile is not None:
            meanwhile()
        return super().embed_documents(passages)


class Bench:
    """One database, open during a check, with methods to write rows and to read indexes.

    Indexes have ``sync="manual"`` unless a check passes another value.
    """

    def __init__(self, open_harness: OpenHarness, stack: ExitStack) -> None:
        self._open = open_harness
        self._stack = stack
        self.harness: AdapterHarness = open_harness()
        stack.callback(self.harness.close)
        self.embedder = BenchEmbedder()

    # --- writing ----------------------------------------------------------------------------------

    def model(self, kind: str) -> type:
        """The model of this name in the harness, such as "article"."""
        return self.harness.models[kind]

    def create(self, kind: str, **values: Any) -> Any:
        """Insert a row of this model; see `AdapterHarness.create`."""
        return self.harness.create(self.model(kind), **values)

    def update(self, kind: str, key: Any, **values: Any) -> None:
        """Change the row with this key; see `AdapterHarness.update`."""
        self.harness.update(self.model(kind), key, **values)

    def delete(self, kind: str, key: Any) -> None:
        """Delete the row with this key; see `AdapterHarness.delete`."""
        self.harness.delete(self.model(kind), key)

    def articles(self, *numbers: int, **values: Any) -> None:
        """Insert articles with these ids, one after another. By default each has the title
        ``t<id>`` and the content ``text <id>``.
        """
        for number in numbers:
            row = {"id": number, "title": f"t{number}", "content": f"text {number}"}
            self.create("article", **{**row, **values})

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        """Run a statement past the ORM; see `AdapterHarness.sql`."""
        return self.harness.sql(statement)

    def transaction(self) -> Any:
        """A block in a transaction or savepoint; see `AdapterHarness.transaction`."""
        return self.harness.transaction()

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """A block in a transaction that is rolled back in the end."""
        try:
            with self.transaction():
                yield
                raise Undone
        except Undone:
            return

    # --- indexing ---------------------------------------------------------------------------------

    def core(self, *, multi_tenant: bool = False) -> SemanticCore:
        """A new, empty core. It is closed after the check."""
        core = self.harness.make_core(self.embedder, multi_tenant=multi_tenant)
        self._stack.callback(core.close)
        return core

    def restarted(self, core: SemanticCore) -> SemanticCore:
        """The core that a new process would have on the same store. The old core does not process
        changes any more.
        """
        for follower in core.followers:
            if isinstance(follower, SyncCoordinator):
                follower.stop()
        return SemanticCore(store=core.store, embedder=self.embedder, plugins=[])

    def index(
        self, kind: str = "article", core: SemanticCore | None = None, **options: Any
    ) -> BaseORMAdapter:
        """An installed index of this model, in a new core by default. It is uninstalled after the
        check.
        """
        of_core = core or self.core(multi_tenant="tenant" in options)
        declared = {"source_fields": SOURCES[kind], "sync": "manual", **options}
        index: BaseORMAdapter = of_core.bind(
            self.model(kind),
            adapter=self.harness.adapter,
            adapter_options=self.harness.options,
            **declared,
        )
        self._stack.callback(index.uninstall)
        return index

    def second(self) -> Bench:
        """Another database, open at the same time."""
        return Bench(self._open, self._stack)

    def held(self, index: BaseORMAdapter, tenant: str = "") -> dict[str, Document]:
        """The documents in an index at present, by key."""
        core = index.core.tenant(tenant) if tenant else index.core
        page = core.documents(limit=100_000, collections=[index.declaration.collection])
        found: dict[str, Document] = {}
        for summary in page:
            document = core.get(summary.ref)
            if document is not None:
                found[summary.ref.key] = document
        return found

    def refs(self, index: BaseORMAdapter, tenant: str = "") -> list[Ref]:
        """The addresses of the documents in an index at present."""
        return [document.ref for document in self.held(index, tenant).values()]

    def texts(self, index: BaseORMAdapter, tenant: str = "") -> dict[str, str]:
        """Title and text of the documents in an index, by key, as "title|text". A document without
        a title has its text alone.
        """
        found: dict[str, str] = {}
        for key, document in self.held(index, tenant).items():
            title = f"{document.title}|" if document.title else ""
            found[key] = f"{title}{document.text}"
        return found

    def settle(self, index: BaseORMAdapter) -> IngestReport:
        """Process all pending changes; fails if one of them fails."""
        report = index.sync()
        none_failed(report, "sync")
        return report

    def settled(self, index: BaseORMAdapter, tenant: str = "") -> dict[str, str]:
        """Process all pending changes, then give `texts`."""
        self.settle(index)
        return self.texts(index, tenant)

    def is_sound(self, index: BaseORMAdapter, what: str = "verify") -> None:
        """Fail unless `verify` finds no difference between rows and documents."""
        found = index.verify()
        expect(found.sound, f"{what}: expected a sound index, found {found}.")

    def time_passes(self) -> None:
        """End all pauses after failures."""
        self.sql("UPDATE semantic_outbox SET ready_at = 0 WHERE aborted = 0")

    def pending_changes(self) -> int:
        """The number of rows in the outbox, of any index and state."""
        return int(self.sql("SELECT COUNT(*) FROM semantic_outbox")[0][0])

    @contextmanager
    def broken(self, thing: object, method: str, reason: str) -> Iterator[None]:
        """Within this block, the method of this one object raises StoreUnavailable."""

        def fail(*_: object, **__: object) -> Never:
            raise StoreUnavailable(reason)

        setattr(thing, method, fail)
        try:
            yield
        finally:
            delattr(thing, method)

    @contextmanager
    def given(self, kind: str, name: str, method: Callable[..., Any]) -> Iterator[None]:
        """Within this block, the model has this method, whether it had another one or none."""
        model = self.model(kind)
        own = vars(model).get(name)
        setattr(model, name, method)
        try:
            yield
        finally:
            if own is None:
                delattr(model, name)
            else:
                setattr(model, name, own)

    # --- threads ----------------------------------------------------------------------------------

    def in_threads(self, *jobs: Callable[[], object]) -> None:
        """Call each of these in a thread of its own, all at once; raises the first error of a
        thread.
        """
        raised: list[BaseException] = []
        together = threading.Barrier(len(jobs))

        def run(job: Callable[[], object]) -> None:
            try:
                together.wait(30)
                job()
            except BaseException as error:  # noqa: BLE001 - raised again in the thread of the check
                raised.append(error)
            finally:
                self.harness.leave_thread()

        threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if raised:
            raise raised[0]
        for thread in threads:
            expect(not thread.is_alive(), "A thread has not ended after a minute.")


def none_failed(report: IngestReport, what: str) -> None:
    """Fail if a change failed. what: the call that gave the report."""
    reasons = [failure.reason for failure in report.failed]
    same(reasons, [], f"{what}: reasons of failures")


class Scenario(Check):
    """A check of an adapter. needs: the capabilities it is about; it is skipped with the reason of
    the limit if the harness is without one of them.
    """

    def __init__(self, rule: Callable[[Bench], None], needs: tuple[Capability, ...]) -> None:
        @wraps(rule)
        def run(open_harness: OpenHarness) -> None:
            with ExitStack() as stack:
                bench = Bench(open_harness, stack)
                for capability in needs:
                    limit = bench.harness.limits.get(capability)
                    if limit is not None:
                        skip(f"{capability.name}: {limit.reason}")
                rule(bench)

        super().__init__(run)
        self.needs = needs


def scenario(*needs: Capability) -> Callable[[Callable[[Bench], None]], Scenario]:
    """Decorator that makes a `Scenario` of a function that takes a `Bench`."""
    return partial(Scenario, needs=needs)
