"""The plugins of one client: what they provide, and one typed method for each hook.

The answer of a hook is checked here, once, so no caller has to. A plugin that raises or breaks its
contract is named.

Tested by tests/plugins/test_host.py, tests/plugins/test_retrievers.py and
tests/plugins/test_rerankers.py.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence, Set
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import attrs

from semantic_core._plugins.builtin import candidates
from semantic_core._plugins.contracts import (
    candidates_fault,
    chunks_fault,
    outside,
    passages_fault,
    ranking_fault,
)
from semantic_core._plugins.discovery import built_in, installed, missing
from semantic_core._plugins.discovery import given as exactly
from semantic_core._plugins.dispatch import Answer, HookDispatch
from semantic_core._plugins.middleware import HOOK as MIDDLEWARE
from semantic_core._plugins.middleware import RESTRICT, Run, around, layers, restriction
from semantic_core._plugins.providers import ProviderKind, Providers
from semantic_core._plugins.records import UNFIT, OptionInfo, PluginInfo, PluginRecord
from semantic_core._validation import named, one_line
from semantic_core.errors import HookFailed, PluginBroken, SemanticCoreError
from semantic_core.events import Event
from semantic_core.filters import Filter
from semantic_core.hookspecs import RERANK
from semantic_core.protocols import Embedder, Store
from semantic_core.types import (
    Chunk,
    ChunkId,
    Document,
    Ranking,
    Scope,
    SearchHit,
    SearchRequest,
    SearchResults,
    Space,
)

EVENT = "semantic_event"
log = logging.getLogger("semantic_core.plugins")


class Retrieved(NamedTuple):
    """The rankings that the retrievers returned once.

    reasons: why a plugin, or ids of its ranking, were left out. saw_everything: no retriever has
    more to give. seconds: by plugin, without the kernel's own.
    """

    rankings: Sequence[Ranking]
    reasons: Sequence[str]
    saw_everything: bool
    seconds: Mapping[str, float]


class Plugins:
    """The plugins that one client uses.

    Created by `load`; never changes afterwards, and is safe to share between threads.

    infos: every plugin that was found, by name, the kernel's own last. reranks: whether a plugin
    that is not the kernel's own takes part in ``semantic_rerank``. listens: whether one listens to
    events.
    """

    @classmethod
    def load(cls, given: Sequence[object | str] | None = None, *, refuse: bool = True) -> Self:
        """The kernel's own plugins, and all that are installed or exactly these.

        given: objects, registered under their ``__name__`` or class name, and names of installed
        plugins, "*" for all of them; [] means none. None uses all that are installed, or those that
        ``SEMANTIC_CORE_PLUGINS`` names ("a,b"; empty or "none": none). An installed plugin that
        cannot take part is left out, and `infos` has the cause. One that was asked for, as an
        object or by name, and cannot take part, raises PluginBroken or PluginConflict. refuse:
        False only lists those that were asked for by name and cannot take part.
        """
        own = built_in()
        reserved = [record.info.name for record in own]
        if given is not None:
            records = exactly(given, reserved)
            asked_for = [plugin for plugin in given if isinstance(plugin, str)]
        else:
            wanted = _names_in_environment()
            asked_for = wanted or []
            found = installed(wanted, reserved)
            absent = [PluginRecord(info) for info in missing(asked_for, found)]
            records = sorted([*found, *absent], key=attrgetter("info.name"))
        loaded = cls([*records, *own])
        if refuse:
            loaded._check_usable(asked_for)
        return loaded

    def __init__(self, records: Sequence[PluginRecord]) -> None:
        """records: in the order in which they are asked, the kernel's own last. Use `load`."""
        usable = [record for record in records if record.info.status == "ok"]
        self._own = [record.info.name for record in usable if record.info.origin == "built in"]
        self._dispatch = HookDispatch(usable, self._own)
        infos = [record.info for record in records]
        self._providers = Providers(self._dispatch, infos, self._own)
        self.infos = self._providers.infos
        self._restricts = any(RESTRICT in info.hooks for info in self.infos)
        self._layers = layers(self._dispatch.every(MIDDLEWARE))
        self.listens = any(EVENT in info.hooks for info in self.infos)
        self._raised: dict[str, str] = {}
        self.reranks = False
        for info in self.infos:
            if RERANK in info.hooks and info.name not in self._own:
                self.reranks = True

    def _check_usable(self, names: Collection[str]) -> None:
        """Raise PluginBroken if a plugin of one of these names cannot take part."""
        for info in self.infos:
            if info.name in names and info.status in UNFIT:
                cause = info.cause if info.cause.endswith("?") else f"{info.cause}."
                raise PluginBroken(
                    f"The plugin {info.name!r} was asked for and is {info.status}: {cause}",
                    hint=info.remedy,
                )

    def options_of(self, kind: ProviderKind, name: str) -> tuple[OptionInfo, ...]:
        """The options of a store or embedder, in their author's order.

        Raises like `create_store`.
        """
        return self._providers.options_of(kind, name)

    @property
    def stores(self) -> tuple[str, ...]:
        """The names of the stores that can be opened."""
        return self._provided("store")

    @property
    def embedders(self) -> tuple[str, ...]:
        """The names of the embedders that can be created."""
        return self._provided("embedder")

    def _provided(self, kind: ProviderKind) -> tuple[str, ...]:
        names: list[str] = []
        for info in self.infos:
            names += info.provides.get(kind, ())
        return tuple(names)

    def create_embedder(self, name: str, options: Mapping[str, Any]) -> Embedder:
        """The embedder of that name.

        Raises like `create_store`, and the embedder's own EmbedderError.
        """
        made: Embedder = self._providers.create("embedder", name, (), options)
        return made

    def create_store(self, name: str, space: Space, options: Mapping[str, Any]) -> Store:
        """The opened store of that name.

        Raises ProviderNotFound, PluginBroken, PluginConflict; ConfigError for an option that is
        unknown or missing; HookFailed if the result is no Store; the store's own StoreError.
        """
        made: Store = self._providers.create("store", name, (space,), options)
        return made

    def describe(self, document: Document) -> Document:
        """The document with title, language and metadata that were read from its text."""
        hook = "semantic_describe"
        answer = self._dispatch.first(hook, document.ref, document=document)
        if answer is None:
            return document
        described = answer.value
        if not isinstance(described, Document):
            raise answer.wrong(hook, document.ref, f"wanted a Document, got {named(described)}")
        if described.ref != document.ref or described.text != document.text:
            raise answer.wrong(hook, document.ref, "wanted the same ref and text, got others")
        return described

    def split(self, document: Document, max_chars: int) -> list[Chunk]:
        """The document's chunks, numbered from 0, each at most `max_chars` characters;
        [] if there is nothing to index.
        """
        answer = self._dispatch.first(
            "semantic_split", document.ref, document=document, max_chars=max_chars
        )
        if answer is None:
            raise HookFailed(f"No plugin splits {document.ref} ({document.media_type}).")
        fault = chunks_fault(document, max_chars, answer.value)
        if fault:
            raise answer.wrong("semantic_split", document.ref, fault)
        return list(answer.value)

    def context(self, document: Document, chunks: Sequence[Chunk]) -> list[str]:
        """The passage of each chunk, which is embedded and indexed for full-text search; one for
        each chunk, in order.
        """
        answer = self._dispatch.first(
            "semantic_context", document.ref, document=document, chunks=list(chunks)
        )
        if answer is None:
            raise HookFailed(f"No plugin writes the passages of {document.ref}.")
        fault = passages_fault(len(chunks), answer.value)
        if fault:
            raise answer.wrong("semantic_context", document.ref, fault)
        return list(answer.value)

    def retrieve(self, request: SearchRequest, store: Store, embedder: Embedder) -> Retrieved:
        """A ranking of every plugin that takes part, without ids that are out of the scope or not
        in the store.

        Raises the error of the kernel's own retrieval, such as StoreError, if no other plugin
        returned a ranking.
        """
        rankings: dict[str, Ranking] = {}
        reasons: list[str] = []
        failure: SemanticCoreError | None = None
        saw_everything = True
        answers = self._dispatch.every(
            "semantic_retrieve", request=request, store=store, embedder=embedder
        )
        # The kernel's own come first, because their sources belong to them.
        for answer in sorted(answers, key=self._is_foreign):
            foreign = self._is_foreign(answer)
            if answer.error is not None:
                reasons.append(f"plugin {answer.plugin}: {one_line(answer.error)}")
                if not foreign and isinstance(answer.error, SemanticCoreError):
                    failure = failure or answer.error
                continue
            fault = candidates_fault(answer.value, request.pool, rankings)
            if not fault:
                ranking = answer.value
                saw_everything = saw_everything and len(ranking) < request.pool
                if foreign:
                    known = set(candidates(list(rankings.values())))
                    ranking, fault = _within(ranking, request.scope, store, known)
                rankings[ranking.source] = ranking
            if fault:
                reasons.append(f"plugin {answer.plugin}: semantic_retrieve: {fault}")
        if failure is not None and not rankings:
            raise failure
        seconds = {}
        for answer in filter(self._is_foreign, answers):
            seconds[answer.plugin] = answer.seconds
        return Retrieved(list(rankings.values()), reasons, saw_everything, seconds)

    def _is_foreign(self, answer: Answer) -> bool:
        return answer.plugin not in self._own

    def fuse(self, request: SearchRequest, rankings: Sequence[Ranking], store: Store) -> Ranking:
        """The rankings merged into one, with some or all of their ids."""
        answer = self._dispatch.first(
            "semantic_fuse", None, request=request, rankings=list(rankings), store=store
        )
        if answer is None:
            raise HookFailed("No plugin fuses rankings.")
        fused = answer.value
        fault = ranking_fault(fused, set(candidates(rankings)))
        if fault:
            raise answer.wrong("semantic_fuse", None, fault)
        return fused  # type: ignore[no-any-return]

    def rerank(
        self, request: SearchRequest, hits: Sequence[SearchHit], store: Store
    ) -> tuple[list[SearchHit], list[str]]:
        """The hits that all rerankers left, in their final order, and why rerankers that only
        reorder had no effect.

        Raises HookFailed for one that failed and might have removed hits.
        """
        answer = self._dispatch.rerank(request, hits, store)
        return list(answer.value), list(answer.failed_orderings)

    def restriction(self, context: Mapping[str, Any]) -> Filter:
        """The conditions that documents must meet to be shown to whoever asks.

        Raises HookFailed for a plugin that fails, AccessRefused.
        """
        if not self._restricts:
            return Filter()
        return restriction(self._dispatch.every(RESTRICT, context=MappingProxyType(context)))

    def search(
        self, request: SearchRequest, run: Run, store: Store, *, per_document: bool
    ) -> SearchResults:
        """The answer of `run`, with the middleware of all plugins around it. Raises HookFailed."""
        if not self._layers:
            return run(request)
        return around(self._layers, request, run, store, per_document=per_document)

    def announce(self, event: Event) -> None:
        """Tell every listener. What one raises is logged, and shown by `reported`."""
        for answer in self._dispatch.announce(EVENT, event):
            if answer.error is None:
                continue
            reason = one_line(answer.error)
            self._raised[answer.plugin] = f"{EVENT}: {reason}"
            log.warning("Plugin %r raised in %s: %s", answer.plugin, EVENT, reason)

    def reported(self) -> tuple[PluginInfo, ...]:
        """`infos`, with what listeners raised last."""
        infos = []
        for info in self.infos:
            raised = self._raised.get(info.name, "")
            infos.append(attrs.evolve(info, last_error=raised) if raised else info)
        return tuple(infos)

    def orm_adapter(self, model: type) -> type[Any] | None:
        """The adapter class that supports a model; None if no plugin knows its ORM."""
        hook = "semantic_orm_adapter"
        answer = self._dispatch.first(hook, None, model=model)
        if answer is None:
            return None
        adapter = answer.value
        if not isinstance(adapter, type):
            raise answer.wrong(hook, None, f"wanted a class, got {named(adapter)}")
        return adapter


def _names_in_environment() -> list[str] | None:
    """The plugins that SEMANTIC_CORE_PLUGINS names; None if it is not set."""
    setting = os.environ.get("SEMANTIC_CORE_PLUGINS")
    if setting is None:
        return None
    names = [name.strip() for name in setting.split(",") if name.strip()]
    return [] if len(names) == 1 and names[0].lower() == "none" else names


class _Within(NamedTuple):
    """A ranking within the scope. fault: which ids were out of it; "" if none."""

    ranking: Ranking
    fault: str


def _within(ranking: Ranking, scope: Scope, store: Store, known: Set[ChunkId]) -> _Within:
    """The part of a ranking that is in the scope and in the store.

    Ids that are not in the store are no fault: the service behind a retriever may lag. known: ids
    that need not be looked up, because the kernel's own retrievers found them.
    """
    excluded: dict[ChunkId, str] = {}
    doubtful = []
    for id in ranking.ids:
        why = outside(id, scope)
        if why:
            excluded[id] = why
        elif id not in known:
            doubtful.append(id)
    gone = set(doubtful)
    for stored in store.fetch(doubtful) if doubtful else ():
        gone.discard(stored.chunk.id)
        if not scope.filter.matches(stored.metadata):
            excluded[stored.chunk.id] = "that where leaves out"
    ids = []
    scores = []
    for id, score in zip(ranking.ids, ranking.scores, strict=True):
        if id not in excluded and id not in gone:
            ids.append(id)
            scores.append(score)
    fault = ""
    if excluded:
        # Without their number, which would say how many documents another tenant has.
        kinds = " and ".join(sorted(set(excluded.values())))
        fault = f"wanted ids within the scope, got some {kinds}"
    return _Within(Ranking(ranking.source, tuple(ids), tuple(scores)), fault)
