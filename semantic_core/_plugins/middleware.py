"""The middleware of plugins around a search. The scope can only become narrower on the way in, and
every hit is within it on the way out.

Tested by tests/plugins/test_middleware.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from semantic_core._plugins.contracts import outside, without_its_words
from semantic_core._validation import clip, named, one_line
from semantic_core.errors import AccessRefused, HookFailed, is_interruption
from semantic_core.filters import Condition, Filter
from semantic_core.types import ChunkId, Ref, Scope, SearchHit, SearchRequest, SearchResults

if TYPE_CHECKING:
    from semantic_core._plugins.dispatch import Answer
    from semantic_core.protocols import Store

HOOK = "semantic_search_middleware"
RESTRICT = "semantic_restrict"
Run = Callable[[SearchRequest], SearchResults]
Middleware = Callable[[SearchRequest, Run], SearchResults]

_NOTHING_SHOWN = (
    "Nothing is shown, because the plugin may decide who sees what. Correct it, or leave it out of "
    "the plugins setting."
)


def restriction(answers: Sequence[Answer]) -> Filter:
    """The conditions of all plugins together.

    Raises HookFailed for a plugin that failed or gave no conditions, AccessRefused as it is.
    """
    conditions: list[Condition] = []
    for answer in answers:
        if isinstance(answer.error, AccessRefused):
            raise answer.error
        if answer.error is not None:
            what = f"Plugin {answer.plugin!r} raised in {RESTRICT}: {one_line(answer.error)}"
            raise HookFailed(f"{what.removesuffix('.')}.", hint=_NOTHING_SHOWN) from answer.error
        try:
            conditions += Filter.parse(answer.value).conditions
        except Exception as error:
            if is_interruption(error):
                raise
            failure = answer.wrong(RESTRICT, None, one_line(error).removesuffix("."))
            failure.hint = _NOTHING_SHOWN
            raise failure from error
    return Filter(tuple(dict.fromkeys(conditions)))


def within(scope: Scope, outer: Scope) -> Scope:
    """The part of a scope that is within another one. Raises ValueError for another tenant."""
    if scope.tenant != outer.tenant:
        raise ValueError("wanted the tenant of the request, got another")
    collections = scope.collections
    if outer.collections is not None:
        if collections is None:
            collections = outer.collections
        else:
            collections = tuple(name for name in collections if name in outer.collections)
    conditions = dict.fromkeys([*outer.filter.conditions, *scope.filter.conditions])
    keys = _keys_in_both(scope.keys, outer.keys)
    text = outer.text & scope.text
    return Scope(outer.tenant, collections, Filter(tuple(conditions)), keys, text)


def _keys_in_both(
    keys: Mapping[str, frozenset[str]] | None, others: Mapping[str, frozenset[str]] | None
) -> Mapping[str, frozenset[str]] | None:
    """The keys of two scopes that are in both; None if both have all."""
    if keys is None or others is None or keys is others:
        return others if keys is None else keys
    return {name: keys[name] & others[name] for name in keys.keys() & others.keys()}


class Layer(NamedTuple):
    """The middleware of one plugin. fault: why it has none and every search must fail; "" if it
    has.
    """

    plugin: str
    function: Middleware | None
    fault: str = ""


def layers(answers: Sequence[Answer]) -> tuple[Layer, ...]:
    """The middleware that plugins gave, outermost first."""
    found = []
    for answer in answers:
        function = answer.value
        fault = ""
        if answer.error is not None:
            fault = f"raised in {HOOK}: {one_line(answer.error).removesuffix('.')}"
        elif not callable(function):
            fault = f"broke the contract of {HOOK}: wanted a function, got {named(function)}"
        found.append(Layer(answer.plugin, None if fault else function, fault))
    return tuple(found)


def around(
    layered: Sequence[Layer],
    request: SearchRequest,
    run: Run,
    store: Store,
    *,
    per_document: bool,
) -> SearchResults:
    """The answer of the outermost middleware.

    run: the search itself. per_document: whether an answer has one hit of each document.
    Raises HookFailed for middleware that fails, or whose answer breaks its contract; what `run`
    raises, if no middleware catches it.
    """
    inner = run
    for layer in reversed(layered):
        inner = _Call(layer, inner, store, per_document)
    return inner(request)


class _Call:
    """One middleware of one search, as a function from request to results."""

    def __init__(self, layer: Layer, inner: Run, store: Store, per_document: bool) -> None:
        self._layer = layer
        self._inner = inner
        self._store = store
        self._per_document = per_document

    def __call__(self, request: SearchRequest) -> SearchResults:
        layer = self._layer
        if layer.function is None:
            raise HookFailed(f"Plugin {layer.plugin!r} {layer.fault}.", hint=_NOTHING_SHOWN)
        searches = _InnerSearches(request, self._inner)
        started = perf_counter()
        try:
            results = layer.function(request, searches)
        except BaseException as error:
            if error in searches.errors or is_interruption(error):
                raise
            if isinstance(error, AccessRefused):
                raise
            what = f"Plugin {layer.plugin!r} raised in {HOOK}: {one_line(error)}"
            raise HookFailed(f"{what.removesuffix('.')}.", hint=_NOTHING_SHOWN) from error
        seconds = perf_counter() - started - searches.seconds
        fault = self._fault(results, request)
        if fault:
            what = f"Plugin {layer.plugin!r} broke the contract of {HOOK}: {fault}."
            raise HookFailed(what, hint=_NOTHING_SHOWN)
        return self._checked(results, request, searches, seconds)

    def _fault(self, results: Any, request: SearchRequest) -> str:
        """What is wrong with an answer; "" if nothing is."""
        if not isinstance(results, SearchResults):
            return f"wanted SearchResults, got {named(results)}"
        if not isinstance(results.hits, tuple):
            return f"wanted a tuple of hits, got {named(results.hits)}"
        seen: set[ChunkId | Ref] = set()
        for place, hit in enumerate(results.hits, 1):
            if not isinstance(hit, SearchHit):
                return f"wanted SearchHits, got {named(hit)}"
            key = hit.ref if self._per_document else hit.id
            if key in seen:
                # Without the key: it may be of a document that whoever asks must not know of.
                what = "document" if self._per_document else "hit"
                return f"wanted each {what} once, got one twice, at place {place}"
            seen.add(key)
        if len(results.hits) > request.limit:
            return f"wanted at most {request.limit} hits, got {len(results.hits)}"
        return ""

    def _checked(
        self,
        results: SearchResults,
        request: SearchRequest,
        searches: _InnerSearches,
        seconds: float,
    ) -> SearchResults:
        """The answer with hits of the scope only, and with the time that this middleware took."""
        kept = _within_scope(results.hits, request.scope, searches.found, self._store)
        reason = results.reason
        if kept.reasons:
            faults = [f"plugin {self._layer.plugin}: {HOOK}: {one}" for one in kept.reasons]
            reason = "; ".join(filter(None, [reason, *faults]))
        timings = {**searches.timings, **results.timings}
        timings[f"middleware {self._layer.plugin}"] = round(seconds * 1000, 3)
        return attrs.evolve(
            results,
            hits=kept.hits,
            degraded=results.degraded or bool(kept.reasons),
            reason=reason,
            timings=timings,
        )


class _InnerSearches:
    """The searches that a middleware makes.

    found: the ids of all their hits. errors: what they raised. seconds: the time they took.
    timings: of the last one.
    """

    def __init__(self, request: SearchRequest, inner: Run) -> None:
        self._request = request
        self._inner = inner
        self.found: set[ChunkId] = set()
        self.errors: list[BaseException] = []
        self.seconds = 0.0
        self.timings: Mapping[str, float] = {}

    def __call__(self, request: SearchRequest) -> SearchResults:
        """The answer of the rest. Raises ValueError for what is no request, or of another
        tenant.
        """
        if not isinstance(request, SearchRequest):
            raise ValueError(f"wanted a SearchRequest, got {clip(request)}")
        narrowed = attrs.evolve(request, scope=within(request.scope, self._request.scope))
        started = perf_counter()
        try:
            results = self._inner(narrowed)
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.seconds += perf_counter() - started
        self.found.update(hit.id for hit in results.hits)
        self.timings = results.timings
        return results


class _Kept(NamedTuple):
    hits: tuple[SearchHit, ...]
    reasons: tuple[str, ...]


def _within_scope(
    hits: Sequence[SearchHit], scope: Scope, found: Collection[ChunkId], store: Store
) -> _Kept:
    """The hits that are within the scope. One that no inner search returned is read anew from the
    store; one that is not there any more is left out.
    """
    doubtful = []
    reasons: dict[str, None] = {}
    for hit in hits:
        if hit.id in found:
            continue
        why = outside(hit.id, scope)
        if why:
            reasons[f"hits {why} were left out"] = None
        else:
            doubtful.append(hit.id)
    stored = {one.chunk.id: one for one in store.fetch(doubtful)} if doubtful else {}
    other = without_its_words({id.ref for id in doubtful}, scope, store)
    kept = []
    for hit in hits:
        if hit.id in found:
            kept.append(hit)
            continue
        held = stored.get(hit.id)
        if held is None:
            continue
        if not scope.filter.matches(held.metadata):
            reasons["hits that where leaves out were left out"] = None
            continue
        if hit.ref in other:
            reasons["hits without the words that the query demands were left out"] = None
            continue
        kept.append(
            attrs.evolve(
                hit,
                title=held.title,
                headings=held.chunk.headings,
                text=held.chunk.text,
                start=held.chunk.start,
                end=held.chunk.end,
                kind=held.chunk.kind,
                metadata=held.metadata,
                updated_at=held.updated_at,
            )
        )
    return _Kept(tuple(kept), tuple(reasons))
