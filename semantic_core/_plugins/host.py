"""The plugins of one front door: what they provide, and one typed method per hook.

What a hook answers is checked here, once, so the flows behind it need not; a plugin that raises or
breaks its contract is named.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, NamedTuple, Self

from semantic_core._plugins.builtin import candidates
from semantic_core._plugins.contracts import (
    candidates_fault,
    chunks_fault,
    passages_fault,
    ranking_fault,
)
from semantic_core._plugins.discovery import built_in, installed, missing
from semantic_core._plugins.discovery import given as exactly
from semantic_core._plugins.dispatch import HookDispatch
from semantic_core._plugins.providers import ProviderKind, Providers
from semantic_core._plugins.records import UNFIT, OptionInfo, PluginRecord
from semantic_core._validation import named, one_line
from semantic_core.errors import HookFailed, PluginBroken, SemanticCoreError
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
    Space,
)

# What the retrievers of one search gave, and what of a plugin's ranking may count:
# nothing out of the scope, nothing that is not in the store.


class Retrieved(NamedTuple):
    """The rankings of one look.

    reasons: why a plugin was left out, or ids of its ranking. saw_everything: no retriever has
    more to give. spent: seconds by plugin, the kernel's own left out.
    """

    rankings: Sequence[Ranking]
    reasons: Sequence[str]
    saw_everything: bool
    spent: Mapping[str, float]


def held(ranking: Ranking, scope: Scope, store: Store, known: Set[ChunkId]) -> tuple[Ranking, str]:
    """The ranking without what is out of the scope, and what that was; without what is gone,
    which is nobody's fault: the service behind a retriever may lag.

    known: ids that need not be looked up, because the kernel's own retrievers found them.
    """
    outside = {id: why for id in ranking.ids if (why := _outside(id, scope))}
    doubtful = [id for id in ranking.ids if id not in outside and id not in known]
    found = store.fetch(doubtful) if doubtful else ()
    there = {stored.chunk.id: stored.metadata for stored in found}
    for id, metadata in there.items():
        if not scope.filter.matches(metadata):
            outside[id] = "that where leaves out"
    gone = {id for id in doubtful if id not in there}
    kept = [
        (id, score)
        for id, score in zip(ranking.ids, ranking.scores, strict=True)
        if id not in outside and id not in gone
    ]
    left = Ranking(ranking.source, tuple(id for id, _ in kept), tuple(score for _, score in kept))
    if not outside:
        return left, ""
    # Not how many there are: that would tell one tenant of another's documents.
    return (
        left,
        f"wanted ids within the scope, got some {' and '.join(sorted({*outside.values()}))}",
    )


def _outside(id: ChunkId, scope: Scope) -> str:
    """Why an id is not within tenant and collections; "" if it is."""
    if id.ref.tenant != scope.tenant:
        return "of another tenant"
    if scope.collections is not None and id.ref.collection not in scope.collections:
        return "of another collection"
    return ""


class Plugins:
    """What takes part in one front door.

    Made by `load`; never changes afterwards, and is safe to share between threads.

    infos: every plugin that was found, by name, the kernel's own last. reranks: whether any but the
    kernel's own takes part in ``semantic_rerank``.
    """

    @classmethod
    def load(cls, given: Sequence[object | str] | None = None, *, refuse: bool = True) -> Self:
        """The kernel's own plugins and those installed, or exactly these.

        given: objects, registered under their ``__name__`` or class name, and names of installed
        plugins; [] means none. None takes all that are installed, or those
        ``SEMANTIC_CORE_PLUGINS`` names ("a,b"; empty or "none": none). An installed plugin that
        cannot take part is kept out and says why in `infos`. One that was asked for, as an object
        or by name, and cannot take part, raises PluginBroken or PluginConflict. refuse: False only
        lists those that were asked for by name and are installed, or named by the environment.
        """
        own = built_in()
        reserved = [one.info.name for one in own]
        if given is not None:
            loaded = cls([*exactly(given, reserved), *own])
            return loaded._with([name for name in given if isinstance(name, str) and refuse])
        setting = os.environ.get("SEMANTIC_CORE_PLUGINS")
        wanted = (
            None
            if setting is None
            else [name.strip() for name in setting.split(",") if name.strip()]
        )
        if wanted is not None and [name.lower() for name in wanted] == ["none"]:
            wanted = []
        found = installed(wanted, reserved)
        found += [PluginRecord(info) for info in missing(wanted or (), found)]
        loaded = cls([*sorted(found, key=lambda one: one.info.name), *own])
        return loaded._with(wanted if wanted and refuse else ())

    def _with(self, names: Collection[str]) -> Self:
        """These plugins, if those of that name can all take part; else PluginBroken."""
        for info in self.infos:
            if info.name in names and info.status in UNFIT:
                cause = info.cause if info.cause.endswith("?") else f"{info.cause}."
                raise PluginBroken(
                    f"The plugin {info.name!r} was asked for and is {info.status}: {cause}",
                    hint=info.remedy,
                )
        return self

    def __init__(self, found: Sequence[PluginRecord]) -> None:
        """found: in the order they are asked, the kernel's own last. Use `load`."""
        usable = [one for one in found if one.info.status == "ok"]
        self._own = [one.info.name for one in usable if one.info.origin == "built in"]
        self._dispatch = HookDispatch(usable, self._own)
        self._providers = Providers(self._dispatch, [one.info for one in found], self._own)
        self.infos = self._providers.infos
        self.reranks = any(
            RERANK in info.hooks for info in self.infos if info.name not in self._own
        )

    def options_of(self, kind: ProviderKind, name: str) -> tuple[OptionInfo, ...]:
        """The options of a store or embedder, in their author's order.

        Raises like `create_store`.
        """
        return self._providers.options_of(kind, name)

    @property
    def embedders(self) -> tuple[str, ...]:
        """The names of those that can be made."""
        return tuple(name for info in self.infos for name in info.provides.get("embedder", ()))

    def create_embedder(self, name: str, options: Mapping[str, Any]) -> Embedder:
        """The embedder of that name.

        Raises like `create_store`, and the embedder's own EmbedderError.
        """
        made: Embedder = self._providers.create("embedder", name, (), options)
        return made

    def create_store(self, name: str, space: Space, options: Mapping[str, Any]) -> Store:
        """The opened store of that name.

        Raises ProviderNotFound, PluginBroken, PluginConflict; ConfigError for an option it does not
        have or lacks; HookFailed if what was made is no Store; the store's own StoreError.
        """
        made: Store = self._providers.create("store", name, (space,), options)
        return made

    def describe(self, document: Document) -> Document:
        """The document with what it says of itself filled in."""
        answer = self._dispatch.first("semantic_describe", document.ref, document=document)
        if answer is None:
            return document
        described = answer.value
        if not isinstance(described, Document):
            raise answer.wrong(
                "semantic_describe", document.ref, f"wanted a Document, got {named(described)}"
            )
        if described.ref != document.ref or described.text != document.text:
            raise answer.wrong(
                "semantic_describe", document.ref, "wanted the same ref and text, got others"
            )
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
        if fault := chunks_fault(document, max_chars, answer.value):
            raise answer.wrong("semantic_split", document.ref, fault)
        return list(answer.value)

    def context(self, document: Document, chunks: Sequence[Chunk]) -> list[str]:
        """What each chunk is embedded with and found by, one passage per chunk, in order."""
        answer = self._dispatch.first(
            "semantic_context", document.ref, document=document, chunks=list(chunks)
        )
        if answer is None:
            raise HookFailed(f"No plugin writes the passages of {document.ref}.")
        if fault := passages_fault(len(chunks), answer.value):
            raise answer.wrong("semantic_context", document.ref, fault)
        return list(answer.value)

    def retrieve(self, request: SearchRequest, store: Store) -> Retrieved:
        """A ranking of every plugin that takes part, held to the scope and to what is there.

        Raises what the kernel's own retrieval raised, such as StoreError, if nobody else gave a
        ranking.
        """
        rankings: dict[str, Ranking] = {}
        reasons: list[str] = []
        failure: SemanticCoreError | None = None
        saw_everything = True
        answers = self._dispatch.every("semantic_retrieve", request=request, store=store)
        # Ours own their sources.
        for answer in sorted(answers, key=lambda answer: answer.plugin not in self._own):
            if answer.error is not None:
                reasons.append(f"plugin {answer.plugin}: {one_line(answer.error)}")
                if answer.plugin in self._own and isinstance(answer.error, SemanticCoreError):
                    failure = failure or answer.error
            elif fault := candidates_fault(answer.value, request.pool, rankings):
                reasons.append(f"plugin {answer.plugin}: semantic_retrieve: {fault}")
            else:
                ranking = answer.value
                saw_everything = saw_everything and len(ranking) < request.pool
                if answer.plugin not in self._own:
                    known = {id for other in rankings.values() for id in other.ids}
                    ranking, fault = held(ranking, request.scope, store, known)
                    if fault:
                        reasons.append(f"plugin {answer.plugin}: semantic_retrieve: {fault}")
                rankings[ranking.source] = ranking
        if failure is not None and not rankings:
            raise failure
        spent = {one.plugin: one.seconds for one in answers if one.plugin not in self._own}
        return Retrieved(list(rankings.values()), reasons, saw_everything, spent)

    def fuse(self, request: SearchRequest, rankings: Sequence[Ranking], store: Store) -> Ranking:
        """One ranking of several: some or all of their ids."""
        answer = self._dispatch.first(
            "semantic_fuse", None, request=request, rankings=list(rankings), store=store
        )
        if answer is None:
            raise HookFailed("No plugin fuses rankings.")
        if fault := ranking_fault(answer.value, set(candidates(rankings))):
            raise answer.wrong("semantic_fuse", None, fault)
        return answer.value  # type: ignore[no-any-return]

    def rerank(
        self, request: SearchRequest, hits: Sequence[SearchHit]
    ) -> tuple[list[SearchHit], list[str]]:
        """The hits all rerankers left, in the order of the last word on it, and the reasons for
        those that have no say because they failed. These only order.

        Raises HookFailed for one that fails and may have taken hits away.
        """
        answer = self._dispatch.rerank(request, hits)
        return list(answer.value), list(answer.failed_orderings)

    def orm_adapter(self, model: type) -> type[Any] | None:
        """The adapter class that serves a model; None if no plugin knows its ORM."""
        answer = self._dispatch.first("semantic_orm_adapter", None, model=model)
        if answer is None:
            return None
        if not isinstance(answer.value, type):
            raise answer.wrong(
                "semantic_orm_adapter", None, f"wanted a class, got {named(answer.value)}"
            )
        return answer.value
