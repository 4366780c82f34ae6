"""Announces what has happened to the plugins that listen, after the commit.

Tested by tests/kernel/test_events.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from semantic_core._validation import clip, described
from semantic_core.errors import is_interruption
from semantic_core.events import Embedded, Failed, Removed, Searched, Written
from semantic_core.protocols import Transactional
from semantic_core.types import Failure, Ref, ReplaceReport, SearchRequest, SearchResults, Space

if TYPE_CHECKING:
    from semantic_core._plugins.host import Plugins
    from semantic_core.protocols import Store

LONGEST_WHAT = 200
"""Characters of a query in a `Failed` event, at most."""


class Announcer:
    """Announces the events of one client. listening: whether any plugin listens; if none does,
    nothing here costs anything.
    """

    def __init__(self, plugins: Plugins, store: Store) -> None:
        self._plugins = plugins
        self._store = store
        self.listening = plugins.listens

    def written(self, report: ReplaceReport) -> None:
        """Announce what a write has changed."""
        if not self.listening:
            return
        added = []
        updated = []
        for ref, outcome in report.outcomes:
            if outcome == "added":
                added.append(ref)
            elif outcome == "updated":
                updated.append(ref)
        if added or updated:
            event = Written(added=tuple(added), updated=tuple(updated))
            self._after_commit(lambda: self._tell_of_written(event))

    def removing(self, refs: Sequence[Ref]) -> list[Ref]:
        """Which of these documents exist, to be announced once they are removed; [] if nobody
        listens.
        """
        if not self.listening:
            return []
        return [ref for ref in dict.fromkeys(refs) if self._store.get(ref) is not None]

    def removed(self, refs: Sequence[Ref]) -> None:
        """Announce that these documents, which existed before, were removed, unless they still
        exist.
        """
        if refs:
            self._after_commit(lambda: self._tell_of_removed(refs))

    def embedded(self, passages: int, space: Space) -> None:
        """Announce vectors that were stored with passages; nothing for 0."""
        if self.listening and passages:
            event = Embedded(passages=passages, space=space)
            self._after_commit(lambda: self._plugins.announce(event))

    def failed(self, step: str, failures: Sequence[Failure]) -> None:
        """Announce what was left out."""
        if self.listening:
            for failure in failures:
                self._plugins.announce(
                    Failed(step=step, what=failure.what, code=failure.code, reason=failure.reason)
                )

    @contextmanager
    def failures(self, step: str, what: object) -> Iterator[None]:
        """Announce the error that ends the block. what: the query or document it is about."""
        try:
            yield
        except Exception as error:
            if self.listening and not is_interruption(error):
                self._plugins.announce(
                    Failed(
                        step=step,
                        what=clip(what, LONGEST_WHAT),
                        code=type(error).__name__,
                        reason=described(error),
                    )
                )
            raise

    def searched(self, request: SearchRequest, results: SearchResults) -> None:
        """Announce an answer."""
        if not self.listening:
            return
        self._plugins.announce(
            Searched(
                query=results.query,
                tenant=request.scope.tenant,
                collections=request.scope.collections,
                mode=results.mode,
                hits=tuple(hit.id for hit in results.hits),
                degraded=results.degraded,
                reason=results.reason,
                milliseconds=results.timings.get("total", 0.0),
                context=request.context,
            )
        )

    def _after_commit(self, call: Callable[[], None]) -> None:
        """Call this now, or when the application's transaction is committed."""
        if isinstance(self._store, Transactional):
            self._store.after_commit(call)
        else:
            call()

    def _tell_of_written(self, event: Written) -> None:
        if isinstance(self._store, Transactional):
            # A savepoint that the transaction rolled back to may have undone some of it.
            event = attrs.evolve(
                event,
                added=tuple(ref for ref in event.added if self._exists(ref)),
                updated=tuple(ref for ref in event.updated if self._exists(ref)),
            )
        if event.added or event.updated:
            self._plugins.announce(event)

    def _tell_of_removed(self, refs: Sequence[Ref]) -> None:
        gone = tuple(ref for ref in refs if not self._exists(ref))
        if gone:
            self._plugins.announce(Removed(refs=gone))

    def _exists(self, ref: Ref) -> bool:
        return self._store.get(ref) is not None
