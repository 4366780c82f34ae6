"""The plugins of one client: what they provide, and one typed method for each hook.

The answer of a hook is checked here, once, so no caller has to. A plugin that raises or breaks its
contract is named.

Tested by tests/plugins/test_host.py, tests/plugins/test_retrievers.py and
tests/plugins/test_rerankers.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import attrs

from semantic_core._files import read_bytes, shown
from semantic_core._plugins.builtin import read_text
from semantic_core._plugins.commands import Commands, commands_of
from semantic_core._plugins.contracts import (
    candidates_fault,
    chunks_fault,
    documents_fault,
    outside,
    passages_fault,
    ranking_fault,
    without_its_words,
)
from semantic_core._plugins.discovery import (
    NOBODY,
    built_in,
    installed,
    installed_names,
    missing,
    wanted_by_environment,
)
from semantic_core._plugins.discovery import given as exactly
from semantic_core._plugins.dispatch import Answer, HookDispatch
from semantic_core._plugins.fusion import candidates
from semantic_core._plugins.guard import Guard
from semantic_core._plugins.life_cycle import LifeCycle, OpenFailed
from semantic_core._plugins.middleware import HOOK as MIDDLEWARE
from semantic_core._plugins.middleware import RESTRICT, Run, around, layers, restriction
from semantic_core._plugins.options import GivenOptions, unknown_plugin
from semantic_core._plugins.providers import OfferedReader, ProviderKind, Providers
from semantic_core._plugins.records import UNFIT, OptionInfo, PluginInfo, PluginRecord
from semantic_core._validation import MAX_TEXT, named, one_line
from semantic_core.errors import (
    FileUnreadable,
    HookFailed,
    PluginBroken,
    SemanticCoreError,
    TextInvalid,
    is_interruption,
)
from semantic_core.events import Event
from semantic_core.filters import Filter
from semantic_core.hookspecs import RERANK
from semantic_core.protocols import Analyser, Embedder, Store
from semantic_core.types import (
    PART_OF,
    PARTS,
    PATH,
    Chunk,
    ChunkId,
    Document,
    FileContent,
    Ranking,
    Ref,
    Scope,
    SearchHit,
    SearchRequest,
    SearchResults,
    Space,
)

NOTHING_SPENT: Mapping[str, float] = {}
EVENT = "semantic_event"
log = logging.getLogger("semantic_core.plugins")


class Retrieved(NamedTuple):
    """The rankings that the retrievers returned once.

    reasons: why a plugin, or ids of its ranking, were left out. saw_everything: no retriever has
    more to give. seconds: by plugin that was asked, without the kernel's own.
    """

    rankings: Sequence[Ranking]
    reasons: Sequence[str]
    saw_everything: bool
    seconds: Mapping[str, float]


class Plugins:
    """The plugins that one client uses.

    Created by `load`; does not change after `open`, and is safe to share between threads.

    infos: every plugin that was found, by name, the kernel's own last. reranks: whether a plugin
    that is not the kernel's own takes part in ``semantic_rerank``. listens: whether one listens to
    events.
    """

    @classmethod
    def load(
        cls,
        given: Sequence[object | str] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        search_timeout: float = 0,
        refuse: bool = True,
        dead: Mapping[str, str] = NOBODY,
    ) -> Self:
        """The kernel's own plugins, and all that are installed or exactly these.

        given: objects, registered under their ``__name__`` or class name, and names of installed
        plugins, "*" for all of them; [] means none. None uses all that are installed, or those that
        ``SEMANTIC_CORE_PLUGINS`` names ("a,b"; empty or "none": none). An installed plugin that
        cannot take part is left out, and `infos` has the cause. One that was asked for, as an
        object, by name or by options, and cannot take part, raises PluginBroken or PluginConflict.
        options: {plugin: {option: value}}; ConfigError for a plugin or option that does not exist,
        or a value of another type. search_timeout: seconds for the retrievers of each plugin in one
        search, and for a reranker that only reorders; 0: no limit. refuse: False only lists those
        that were asked for by name and cannot take part, or not with their options. dead: why
        plugins are not imported, by name.
        """
        settings = GivenOptions(options)
        own = built_in()
        reserved = [record.info.name for record in own]
        if given is not None:
            records = exactly(given, reserved, settings, dead)
            asked_for = [plugin for plugin in given if isinstance(plugin, str)]
        else:
            wanted = wanted_by_environment()
            asked_for = wanted or []
            found = installed(wanted, reserved, settings, dead)
            absent = [PluginRecord(info) for info in missing(asked_for, found)]
            records = sorted([*found, *absent], key=attrgetter("info.name"))
        _check_known(settings, [record.info.name for record in records])
        for record in records:
            if settings.of(record.info.name):
                asked_for.append(record.info.name)
            if refuse and record.refused is not None:
                raise record.refused
        loaded = cls([*records, *own], search_timeout)
        loaded._asked_for = frozenset(asked_for)
        if refuse:
            loaded._check_usable(asked_for)
        return loaded

    def __init__(self, records: Sequence[PluginRecord], search_timeout: float = 0) -> None:
        """records: in the order in which they are asked, the kernel's own last. Use `load`."""
        usable = [record for record in records if record.info.status == "ok"]
        self._asked_for: frozenset[str] = frozenset()
        self._life_cycle = LifeCycle(usable)
        self._own = [record.info.name for record in usable if record.info.origin == "built in"]
        self._dispatch = HookDispatch(usable, self._own)
        self._retrievers = Guard(search_timeout)
        self._orderings = Guard(search_timeout)
        infos = [record.info for record in records]
        self._parts = {record.info.name: record.parts for record in usable}
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

    def open(self, core: object) -> None:
        """Call ``open(core)`` of every plugin object that has it, in the order in which plugins are
        asked.

        An installed plugin whose ``open`` raises is broken from now on and takes part in nothing.
        Raises PluginBroken, after closing those that are open, if it was given as an object or
        asked for by name or options, or if it may hide documents: then nothing may be shown
        without it.
        """
        for failed in self._life_cycle.open(core):
            for info in self.infos:
                if info.name == failed.plugin:
                    self._leave_out(info, failed)

    def _leave_out(self, info: PluginInfo, failed: OpenFailed) -> None:
        remedy = "Correct what it names"
        if info.distribution:
            remedy = f"{remedy}, or pip install --upgrade {info.distribution}"
        wanted = info.origin == "given" or info.name in self._asked_for
        if wanted or self._dispatch.hides(info.name):
            self.close()
            raise PluginBroken(
                f"The plugin {info.name!r} cannot take part: {failed.cause}.",
                hint=f"{remedy}; or leave it out of the plugins setting.",
            ) from failed.error
        self._dispatch.drop(info.name)
        self._providers.drop(info.name)
        self._parts.pop(info.name, None)
        broken = attrs.evolve(
            info,
            status="broken",
            cause=failed.cause,
            remedy=f"{remedy}.",
            hooks=(),
            provides={},
        )
        self.infos = tuple(broken if one is info else one for one in self.infos)

    def close(self) -> None:
        """Call ``close()`` of every plugin object that is open, the last one first. What it raises
        is logged.
        """
        self._life_cycle.close()

    def functions_of(self, plugin: str) -> Mapping[str, Callable[..., Any]]:
        """The functions that a plugin takes part with, by hook; {} for one that does not."""
        return {part.hook: part.function for part in self._parts.get(plugin, ())}

    def options_of(self, kind: ProviderKind, name: str) -> tuple[OptionInfo, ...]:
        """The options of a store, embedder or analyser, in their author's order.

        Raises like `create_store`.
        """
        return self._providers.options_of(kind, name)

    def commands(self, taken: Collection[str]) -> Commands:
        """The commands that plugins add. Every plugin is asked again at each call.

        taken: names of the kernel's own commands.
        """
        return commands_of(self._dispatch, self.infos, taken)

    @property
    def stores(self) -> tuple[str, ...]:
        """The names of the stores that can be opened."""
        return self._provided("store")

    @property
    def embedders(self) -> tuple[str, ...]:
        """The names of the embedders that can be created."""
        return self._provided("embedder")

    @property
    def analysers(self) -> tuple[str, ...]:
        """The names of the analysers that can be created."""
        return self._provided("analyser")

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

    def create_analyser(self, name: str, languages: Sequence[str]) -> Analyser:
        """The analyser of that name, for these languages.

        Raises like `create_store`, and ConfigError for a language that it does not know.
        """
        made: Analyser = self._providers.create("analyser", name, (tuple(languages),), {})
        return made

    def create_store(self, name: str, space: Space, options: Mapping[str, Any]) -> Store:
        """The opened store of that name.

        Raises ProviderNotFound, PluginBroken, PluginConflict; ConfigError for an option that is
        unknown or missing; HookFailed if the result is no Store; the store's own StoreError.
        """
        made: Store = self._providers.create("store", name, (space,), options)
        return made

    @property
    def suffixes(self) -> Set[str]:
        """The suffixes of the files that plugins read, in lower case."""
        return self._providers.suffixes

    def remedy(self, name: str) -> str:
        """The step that gets a reader of files with that name, suffix or media type; "" if we know
        none.
        """
        return self._providers.reader_remedy(name)

    def read(
        self,
        path: Path,
        ref: Ref,
        *,
        media_type: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> tuple[Document, ...]:
        """The documents of a file: the first has this ref, the others are parts of the file.

        A file that no plugin offers to read is read as text. metadata: goes before what a reader
        found. The documents of parts have the key of the first as ``part_of``, and the first has
        their number as ``parts``; all have the ``path`` of the file.

        Raises FileUnreadable; PluginConflict if more than one plugin offers to read it; HookFailed
        for a reader that raises anything else or breaks its contract; PluginBroken for one that
        needs a module that is not installed.
        """
        reader = self._providers.reader(path.name, media_type)
        file = FileContent(read_bytes(path), shown(Path(path.name)), ref, media_type)
        if reader is None:
            documents = self._read_as_text(path, file)
        else:
            documents = self._read_by(reader, path, file)
        characters = sum(len(document.text) for document in documents)
        if characters > MAX_TEXT:
            raise FileUnreadable(
                f"{str(path)!r} has {characters:,} characters in {len(documents):,} documents, the "
                f"most is {MAX_TEXT:,}.",
                hint="Split it into several files.",
            )
        return _completed(documents, path, metadata or {})

    def _read_as_text(self, path: Path, file: FileContent) -> Sequence[Document]:
        reader = self._providers.reader("", "text/plain") or OfferedReader("core.text", read_text)
        try:
            return self._read_by(reader, path, file)
        except FileUnreadable as error:
            remedy = self.remedy(file.media_type) or self.remedy(file.name)
            if remedy:
                why = error.message.removesuffix(".")
                error.message = f"{why}, and no installed plugin reads such files."
                error.hint = remedy
            raise

    def _read_by(self, reader: OfferedReader, path: Path, file: FileContent) -> Sequence[Document]:
        where = repr(str(path))
        try:
            answer = reader.read(file)
            fault = documents_fault(file, answer)
        except FileUnreadable as error:
            error.message = _with_path(error.message, file.name, where)
            raise
        except TextInvalid as error:
            raise FileUnreadable(
                f"Cannot read {where}: {error.message}", hint=error.hint
            ) from error
        except BaseException as error:
            if is_interruption(error):
                raise
            if isinstance(error, ModuleNotFoundError) and error.name:
                raise PluginBroken(
                    f"Plugin {reader.plugin!r} needs the module {error.name!r} to read {where}, "
                    "and it is not installed.",
                    hint=self._providers.lacking(reader.plugin, error.name),
                ) from error
            raise HookFailed(
                f"Plugin {reader.plugin!r} raised while it read {where}: {one_line(error)}"
            ) from error
        if fault:
            raise HookFailed(
                f"Plugin {reader.plugin!r} broke the contract of a reader with {where}: {fault}."
            )
        return [answer] if isinstance(answer, Document) else list(answer)

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
        for name in (PATH, PART_OF, PARTS):
            if name in document.metadata and (
                described.metadata.get(name) != document.metadata[name]
            ):
                fault = f"wanted metadata with the {name} that was given, got another or none"
                raise answer.wrong(hook, document.ref, fault)
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

    def retrieve(
        self,
        request: SearchRequest,
        store: Store,
        embedder: Embedder,
        spent: Mapping[str, float] = NOTHING_SPENT,
    ) -> Retrieved:
        """A ranking of every plugin that takes part, without ids that are out of the scope or not
        in the store.

        spent: seconds that plugins took earlier in the same search, which count for their limit.
        Raises the error of the kernel's own retrieval, such as StoreError, if no other plugin
        returned a ranking.
        """
        rankings: dict[str, Ranking] = {}
        reasons: list[str] = []
        failure: SemanticCoreError | None = None
        saw_everything = True
        seconds: dict[str, float] = {}
        answers = self._dispatch.every(
            "semantic_retrieve",
            partial(self._retrievers.answer, spent=spent, seconds=seconds),
            request=request,
            store=store,
            embedder=embedder,
        )
        # The kernel's own come first, because their sources belong to them.
        for answer in sorted(answers, key=self._is_foreign):
            foreign = self._is_foreign(answer)
            if answer.left_out:
                reasons.append(f"plugin {answer.plugin}: {answer.left_out}")
                continue
            if answer.error is not None:
                reasons.append(f"plugin {answer.plugin}: {one_line(answer.error)}")
                if not foreign and isinstance(answer.error, SemanticCoreError):
                    failure = failure or answer.error
                continue
            fault = candidates_fault(answer.value, request.pool, rankings)
            if foreign:
                self._retrievers.judge(answer.plugin, fault)
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
        if self._is_foreign(answer):
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
        answer = self._dispatch.rerank(request, hits, store, self._orderings)
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


def _check_known(options: GivenOptions, there: Sequence[str]) -> None:
    """Raise ConfigError for options of a plugin that is neither used nor installed."""
    unknown = options.unknown(there)
    if unknown:
        everyone = [*there, *installed_names()]
        unknown = options.unknown(everyone)
        for name in unknown:
            raise unknown_plugin(name, everyone)


def _with_path(message: str, name: str, where: str) -> str:
    """The message of a reader, which knows only the name of the file, with the path of it."""
    if where in message:
        return message
    if repr(name) in message:
        return message.replace(repr(name), where, 1)
    return f"Cannot read {where}: {message}"


def _completed(
    documents: Sequence[Document], path: Path, metadata: Mapping[str, Any]
) -> tuple[Document, ...]:
    """The documents of a file with the metadata of the caller, and with what leads to the file and
    to its parts.
    """
    first = documents[0]
    completed = []
    for document in documents:
        leading: dict[str, Any] = {PATH: shown(path)}
        if document is not first:
            leading[PART_OF] = first.ref.key
        elif len(documents) > 1:
            leading[PARTS] = len(documents) - 1
        kept = dict(document.metadata)
        for name in (PART_OF, PARTS):
            kept.pop(name, None)
        changed = {**kept, **metadata, **leading}
        completed.append(attrs.evolve(document, metadata=changed))
    return tuple(completed)


class _Within(NamedTuple):
    """A ranking within the scope. fault: which ids were out of it; "" if none."""

    ranking: Ranking
    fault: str


def _within(ranking: Ranking, scope: Scope, store: Store, known: Set[ChunkId]) -> _Within:
    """The part of a ranking that is in the scope and in the store.

    Ids that are not in the store are no fault: the service behind a retriever may lag. Neither are
    ids of documents without the words that the query demands. known: ids that need not be looked
    up, because the kernel's own retrievers found them.
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
    other = without_its_words({id.ref for id in doubtful}, scope, store)
    for stored in store.fetch(doubtful) if doubtful else ():
        if stored.chunk.id.ref not in other:
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
