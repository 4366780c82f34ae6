"""Every hook a plugin may take part in.

A plugin is a module or object with functions marked ``@hookimpl`` and named as below, reached by an
entry point of the group ``semantic_core``. It takes the parameters it needs, by name. Keep the
module light: import heavy libraries inside the functions, since listing plugins imports the module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, overload

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Chunk, Document, Ranking, SearchHit, SearchRequest

_F = TypeVar("_F", bound="Callable[..., Any]")

PROJECT = "semantic_core"
"""Name of the entry-point group, and of pluggy's project."""
PREFIX = "semantic_"
"""Every hook begins so; a function that does without being one is a mistake,
and is refused as such.
"""
API_VERSION = 1
"""Raised when a hook changes in a way that breaks plugins. A plugin may state
``SEMANTIC_CORE_API = 1``.
"""

COLLECTED = frozenset({"semantic_stores", "semantic_embedders", "semantic_retrieve"})
"""Hooks that ask every plugin for its own answer:
one that fails there must not silence the others.
"""
RERANK = "semantic_rerank"
"""The hook whose functions all work on one answer, one after the other."""
ORDERS_ONLY = "orders_only"
"""The mark of a reranker that takes nothing away."""

hookspec = pluggy.HookspecMarker(PROJECT)
_mark = pluggy.HookimplMarker(PROJECT)


@overload
def hookimpl(function: _F, *, orders_only: bool = ..., **marks: Any) -> _F: ...
@overload
def hookimpl(*, orders_only: bool = ..., **marks: Any) -> Callable[[_F], _F]: ...
def hookimpl(
    function: Callable[..., Any] | None = None, *, orders_only: bool = False, **marks: Any
) -> Any:
    """Mark a function as the one that answers the hook of its name.

    orders_only: of a reranker that never takes a hit away; the search goes on without it when it
    fails. marks: ``wrapper``, ``tryfirst``, ``trylast``, ``optionalhook``, ``specname``, as pluggy
    has them.
    """
    if function is None:
        return lambda function: hookimpl(function, orders_only=orders_only, **marks)
    marked = _mark(function, **marks)
    getattr(marked, f"{PROJECT}_impl")[ORDERS_ONLY] = orders_only
    return marked


@hookspec
def semantic_stores() -> Mapping[str, Callable[..., Store]]:
    """Offer stores, by the name users choose them with.

    Return {name: factory}; ``factory(space, **options)`` gives the opened store. Its keyword
    parameters are the options ``plugins show`` lists; ``Annotated[int, "what it does"]`` documents
    one. None or {} offers nothing.
    Every plugin is asked. Two offers of one name are a conflict: neither is used. The names of
    our own stores and embedders belong to the distributions they come with.
    """
    raise NotImplementedError


@hookspec
def semantic_embedders() -> Mapping[str, Callable[..., Embedder]]:
    """Offer embedders, by the name users choose them with.

    Return {name: factory}; ``factory(**options)`` gives the embedder and loads no model yet. None
    or {} offers nothing. Every plugin is asked. Two offers of one name are a conflict, as for
    stores.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_describe(document: Document) -> Document | None:
    """Read what a document says of itself: a title, a language, metadata in a front matter.

    Return the document with those filled in, same ref and same text; what the caller gave wins over
    what was read.
    None: not a document of yours. Stops at the first result that is not None. Called once per
    document.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_split(document: Document, max_chars: int) -> Sequence[Chunk] | None:
    """Cut one document into chunks.

    document: look at ``media_type`` to see whether it is yours. max_chars: longest chunk allowed,
    in characters.

    Return None if it is not of your kind. An empty list means: mine, and nothing to index. Chunks
    are numbered from 0 in order and ``document.text[chunk.start:chunk.end] == chunk.text``; both
    are checked.
    Stops at the first result that is not None. Called once per document.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_context(document: Document, chunks: Sequence[Chunk]) -> Sequence[str] | None:
    """Write what each chunk is embedded with and found by: usually title, heading path and text.

    Return one passage per chunk, in order; None if you have no opinion. Stops at the first result
    that is not None.
    """
    raise NotImplementedError


@hookspec
def semantic_retrieve(request: SearchRequest, store: Store) -> Ranking | None:
    """Find candidates, at most ``request.pool`` of them, within ``request.scope``.

    Return a Ranking whose source names you; None if you take no part in this mode; an empty Ranking
    if you found nothing. Candidates you do not list count as less than those you do: as 0 where all
    your scores are above 0. The source "title" is for documents called like the query: its scores,
    from 0 to 1, put them first. Ids out of the scope are dropped, and the answer says so; ids that
    are not in the store are dropped.
    Every plugin is asked; one that raises is left out, and the answer says so.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_fuse(
    request: SearchRequest, rankings: Sequence[Ranking], store: Store
) -> Ranking | None:
    """Make one ranking of several.

    rankings: at least one, not empty, each of another source. store: for exact scores of candidates
    a retriever did not see (`similarity`; `score` of a `TextScores`). Called again with a deeper
    pool where more hits are wanted: what is new then goes behind what was there. Return a Ranking
    of some or all of their ids; None if you have no opinion. Stops at the first result that is not
    None.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_rerank(request: SearchRequest, hits: Sequence[SearchHit]) -> Sequence[SearchHit]:
    """Put hits in a better order, or take some away.

    hits: what the other rerankers have left; every one is asked, one after the other. So what one
    takes away stays away. A wrapper gets the same from its ``yield``.

    Return hits, best first; an empty list means that nothing survives, and ends the answer. One
    that raises, returns None or hits it was not given ends the search with HookFailed: nothing is
    shown that it would have taken away. One that only orders says so,
    ``@hookimpl(orders_only=True)``: then the search goes on without it and is ``degraded``. Called
    for each 50 hits, from the top, as far as the page reaches: always on the same ones, so that
    pages fit together.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_orm_adapter(model: type) -> type[Any] | None:
    """Say which adapter serves a model: a class with a table, of some ORM.

    Return a subclass of `semantic_core.orm.BaseORMAdapter`; None if it is no model of your ORM.
    Import the ORM inside, and only if the model's module has done so already: asking must cost
    nothing for models of other ORMs.
    Stops at the first result that is not None. Called once per model, when its index is bound.
    """
    raise NotImplementedError


@cache
def hook_names() -> tuple[str, ...]:
    """The names of all hooks, in the order of a life cycle."""
    return tuple(
        name for name, value in globals().items() if name.startswith(PREFIX) and callable(value)
    )


@cache
def signature_of(name: str) -> Any:
    """The signature of a hook, as its author sees it."""
    from inspect import signature

    return signature(globals()[name])
