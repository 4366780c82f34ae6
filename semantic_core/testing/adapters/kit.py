"""The bench adapters are checked on: a harness, a core, indexes of the kit's models, and short
words for what checks do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Never

from semantic_core.core import SemanticCore
from semantic_core.errors import EmbedderUnavailable, StoreUnavailable
from semantic_core.orm import BaseORMAdapter
from semantic_core.orm.sync import SyncCoordinator
from semantic_core.testing.adapters.harness import AdapterHarness, Capability, OpenHarness
from semantic_core.testing.check import Check, same, skip
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.types import Document, IngestReport

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
"""What an index of each model reads if a check says nothing else."""


class Undone(Exception):
    """Raised to have a transaction rolled back."""


class BenchEmbedder(HashEmbedder):
    """meanwhile: called once, in the middle of a sync,
    after rows were read and before anything of them is written.

    fail_after: calls that succeed before all others fail; None: no call fails.
    """

    meanwhile: Callable[[], object] | None = None
    fail_after: int | None = None

    def embed_documents(self, passages: Sequence[str]) -> Any:
        """See `HashEmbedder.embed_documents`."""
        if self.fail_after is not None and self.calls >= self.fail_after:
            raise EmbedderUnavailable("the provider is down")
        then = self.meanwhile
        self.meanwhile = None
        if then is not None:
            then()
        return super().embed_documents(passages)


class Bench:
    """One database, open while a check lasts.

    Indexes have ``sync="manual"`` unless a check says otherwise.
    """

    def __init__(self, open_harness: OpenHarness, stack: ExitStack) -> None:
        self._open = open_harness
        self._stack = stack
        self.harness: AdapterHarness = open_harness()
        stack.callback(self.harness.close)
        self.embedder = BenchEmbedder()

    # --- what is written --------------------------------------------------------------------------

    def model(self, kind: str) -> type:
        return self.harness.models[kind]

    def create(self, kind: str, **values: Any) -> Any:
        return self.harness.create(self.model(kind), **values)

    def update(self, kind: str, key: Any, **values: Any) -> None:
        self.harness.update(self.model(kind), key, **values)

    def delete(self, kind: str, key: Any) -> None:
        self.harness.delete(self.model(kind), key)

    def articles(self, *numbers: int, **values: Any) -> None:
        """Articles with these ids, each titled ``t<id>`` with the text ``text <id>``,
        one after another.
        """
        for number in numbers:
            self.create(
                "article",
                **{"id": number, "title": f"t{number}", "content": f"text {number}", **values},
            )

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        return self.harness.sql(statement)

    def transaction(self) -> Any:
        return self.harness.transaction()

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """A transaction that is rolled back in the end."""
        try:
            with self.transaction():
                yield
                raise Undone
        except Undone:
            return

    # --- what is indexed --------------------------------------------------------------------------

    def core(self, *, multi_tenant: bool = False) -> SemanticCore:
        """A new, empty core, closed after the check."""
        core = self.harness.make_core(self.embedder, multi_tenant=multi_tenant)
        self._stack.callback(core.close)
        return core

    def restarted(self, core: SemanticCore) -> SemanticCore:
        """The core that a new process would have on the same index;
        the old one works nothing off any more.
        """
        for follower in core.followers:
            if isinstance(follower, SyncCoordinator):
                follower.stop()
        return SemanticCore(store=core.store, embedder=self.embedder, plugins=[])

    def index(
        self, kind: str = "article", core: SemanticCore | None = None, **said: Any
    ) -> BaseORMAdapter:
        """An index of this model, installed; uninstalled after the check."""
        kept = core or self.core(multi_tenant="tenant" in said)
        declared = {"source_fields": SOURCES[kind], "sync": "manual", **said}
        index: BaseORMAdapter = kept.bind(
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
        """Documents of an index by key, as they are."""
        core = index.core.tenant(tenant) if tenant else index.core
        page = core.documents(limit=100_000, collections=[index.declaration.collection])
        found = {summary.ref.key: core.get(summary.ref) for summary in page}
        return {key: document for key, document in found.items() if document is not None}

    def texts(self, index: BaseORMAdapter, tenant: str = "") -> dict[str, str]:
        """Title and text of what is held, by key, as "title|text",
        or the text alone where there is no title.
        """
        return {
            key: f"{document.title}|{document.text}" if document.title else document.text
            for key, document in self.held(index, tenant).items()
        }

    def settle(self, index: BaseORMAdapter) -> IngestReport:
        """Work off what waits; fails if anything fails."""
        report = index.sync()
        same([failure.reason for failure in report.failed], [], "failures of a sync")
        return report

    def settled(self, index: BaseORMAdapter, tenant: str = "") -> dict[str, str]:
        """What `texts` gives once all that waits is worked off."""
        self.settle(index)
        return self.texts(index, tenant)

    def time_passes(self) -> None:
        """Pauses after failures are over."""
        self.sql("UPDATE semantic_outbox SET ready_at = 0 WHERE aborted = 0")

    def pending_changes(self) -> int:
        """The number of pending changes in the outbox, of all collections."""
        return int(self.sql("SELECT COUNT(*) FROM semantic_outbox")[0][0])

    @contextmanager
    def broken(self, thing: object, method: str, reason: str) -> Iterator[None]:
        """Within it, this method of this one object raises StoreUnavailable."""

        def fail(*_: object, **__: object) -> Never:
            raise StoreUnavailable(reason)

        setattr(thing, method, fail)
        try:
            yield
        finally:
            delattr(thing, method)

    @contextmanager
    def given(self, kind: str, name: str, method: Callable[..., Any]) -> Iterator[None]:
        """Within it, the model has a method it did not have, or another one."""
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
        """Run each in a thread of its own, all at once; raises what the first of them raised."""
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
        same(
            [thread.is_alive() for thread in threads],
            [False] * len(threads),
            "threads that hang after a minute",
        )


class Scenario(Check):
    """A check of an adapter. needs: what its harness must be able to,
    else it is skipped with the limit's reason.
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
    """Make a scenario of a function that is given a `Bench`."""
    return lambda rule: Scenario(rule, needs)
