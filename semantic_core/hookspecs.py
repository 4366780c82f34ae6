"""Every hook that a plugin may implement.

A plugin is a module or object with functions marked ``@hookimpl`` and named as below, and an entry
point of the group ``semantic_core`` names it. A function takes the parameters it needs, by name.
Keep the module light: import heavy libraries inside the functions, because listing plugins imports
the module.

Tested by tests/plugins/test_host.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

    from semantic_core.events import Event
    from semantic_core.protocols import Analyser, Embedder, Store
    from semantic_core.types import (
        Chunk,
        Document,
        FileContent,
        Ranking,
        SearchHit,
        SearchRequest,
        SearchResults,
        Where,
    )

_F = TypeVar("_F", bound="Callable[..., Any]")

PROJECT = "semantic_core"
"""Name of the entry-point group, and of pluggy's project."""
PREFIX = "semantic_"
"""The name of every hook begins with this. Another function whose name does is refused."""
API_VERSION = 1
"""The number grows when a hook changes in a way that breaks plugins. A plugin may state
``SEMANTIC_CORE_API = 1``.
"""

COLLECTED = frozenset(
    {
        "semantic_stores",
        "semantic_embedders",
        "semantic_analysers",
        "semantic_readers",
        "semantic_restrict",
        "semantic_search_middleware",
        "semantic_retrieve",
        "semantic_event",
        "semantic_commands",
    }
)
"""Hooks that ask every plugin for its own answer. One that fails does not affect the others."""
RERANK = "semantic_rerank"
"""The hook whose functions are all called, each with the answer of the one before."""
HIDING = frozenset({RERANK, "semantic_restrict", "semantic_search_middleware"})
"""Hooks that may keep documents from being shown. Without one of their plugins nothing is shown."""
ORDERS_ONLY = "orders_only"
"""The mark of a reranker that removes no hits."""

hookspec = pluggy.HookspecMarker(PROJECT)
_mark = pluggy.HookimplMarker(PROJECT)


@overload
def hookimpl(function: _F, *, orders_only: bool = ..., **marks: Any) -> _F: ...
@overload
def hookimpl(*, orders_only: bool = ..., **marks: Any) -> Callable[[_F], _F]: ...
def hookimpl(
    function: Callable[..., Any] | None = None, *, orders_only: bool = False, **marks: Any
) -> Any:
    """Mark a function as the implementation of the hook with its name.

    orders_only: for a reranker that never removes a hit; if it fails, the search continues without
    it. marks: ``wrapper``, ``tryfirst``, ``trylast``, ``optionalhook``, ``specname``, as in pluggy.
    """
    if function is None:
        return partial(hookimpl, orders_only=orders_only, **marks)
    marked = _mark(function, **marks)
    getattr(marked, f"{PROJECT}_impl")[ORDERS_ONLY] = orders_only
    return marked


@hookspec
def semantic_stores() -> Mapping[str, Callable[..., Store]]:
    """Offer stores, by the name that users choose them with.

    Return {name: factory}; ``factory(space, **options)`` returns the opened store. Its keyword
    parameters are the options that ``plugins show`` lists; ``Annotated[int, "what it does"]``
    documents one. None or {} offers nothing.
    Every plugin is asked. Two offers of one name are a conflict: neither is used. The names of
    our own stores and embedders belong to the distributions that contain them.
    """
    raise NotImplementedError


@hookspec
def semantic_embedders() -> Mapping[str, Callable[..., Embedder]]:
    """Offer embedders, by the name that users choose them with.

    Return {name: factory}; ``factory(**options)`` returns the embedder and loads no model yet. None
    or {} offers nothing. Every plugin is asked. Two offers of one name are a conflict, as for
    stores.
    """
    raise NotImplementedError


@hookspec
def semantic_analysers() -> Mapping[str, Callable[..., Analyser]]:
    """Offer analysers, which split texts into the terms of a full-text index, by the name that
    users choose them with.

    Return {name: factory}; ``factory(languages)`` returns the analyser for texts and queries in
    these languages, a tuple of ISO codes; () if they are not known. What changes a term is part of
    its ``identity``: the languages, as ``languages=en,de``, and the version of a library that it
    uses. None or {} offers nothing. Every plugin is asked. Two offers of one name are a conflict,
    as for stores.
    """
    raise NotImplementedError


@hookspec
def semantic_readers() -> Mapping[str, Callable[[FileContent], Document | Sequence[Document]]]:
    """Offer readers of files, by suffix such as ".html" or media type such as "text/html".

    Return {suffix or media type: reader}, in lower case; a suffix may have several dots. A media
    type that the caller gave goes before the suffix of the file, and a longer suffix before a
    shorter one. ``reader(file)`` returns the document of the file, or a list: the first has the ref
    ``file.ref``, the others are parts of the file with keys that begin with
    ``file.ref.key + "#"``, as `FileContent.document` makes them. It raises FileUnreadable for a
    file that it cannot read; anything else that it raises is a fault of the plugin, and no document
    of that file is changed. It may be called by several threads.
    None or {} offers nothing.
    Every plugin is asked. Two offers of one suffix are a conflict: neither is used. An offer
    replaces one of the kernel's own, which read text and Markdown.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_describe(document: Document) -> Document | None:
    """Read title, language and metadata from a document, for example from its front matter.

    Return the document with those filled in, and the same ref and text. Values that the caller gave
    take precedence over values that were read. Return None if your plugin does not support the
    document. Stops at the first result that is not None. Called once per document.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_split(document: Document, max_chars: int) -> Sequence[Chunk] | None:
    """Split one document into chunks.

    document: its ``media_type`` shows whether your plugin supports it. max_chars: longest chunk
    allowed, in characters.

    Return None if your plugin does not support the document; an empty list if it does and there is
    nothing to index. Chunks are numbered from 0 in order, and
    ``document.text[chunk.start:chunk.end] == chunk.text``; both are checked.
    Stops at the first result that is not None. Called once per document.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_context(document: Document, chunks: Sequence[Chunk]) -> Sequence[str] | None:
    """Return the passage of each chunk, which is embedded and indexed for full-text search: usually
    title, heading path and text.

    Return one passage per chunk, in order; None to leave it to other plugins. Stops at the first
    result that is not None.
    """
    raise NotImplementedError


@hookspec
def semantic_restrict(context: Mapping[str, Any]) -> Where:
    """The conditions on metadata that a document must meet to be shown to whoever asks.

    context: what the application gave with ``search(..., context={"user": ...})``; {} if nothing.
    Return a ``where`` mapping or a Filter; None if your plugin hides nothing from them.
    Every plugin is asked, and the conditions of all must hold. It applies to searches, `get`,
    `documents` and `context_window`, before any limit. If one raises, or returns anything else,
    nothing is shown: the call raises HookFailed, or AccessRefused if the plugin raised that.
    """
    raise NotImplementedError


@hookspec
def semantic_search_middleware() -> Callable[
    [SearchRequest, Callable[[SearchRequest], SearchResults]], SearchResults
]:
    """Return a function that runs around every search: ``middleware(request, search)``.

    ``search(request)`` runs the rest: the middleware of other plugins, then the search itself. The
    function may change the request, call `search` several times, or answer by itself. None takes no
    part. Every plugin is asked once, when the client is created; the one that is asked first runs
    outermost.

    The scope can only become narrower: tenant, collections and conditions of the original request
    hold for every inner search and every hit of the answer. A function that raises, or returns
    anything but SearchResults, ends the search with HookFailed.
    """
    raise NotImplementedError


@hookspec
def semantic_retrieve(request: SearchRequest, store: Store, embedder: Embedder) -> Ranking | None:
    """Find candidates, at most ``request.pool`` of them, within ``request.scope``.

    embedder: the one of the index, to embed other texts than the query, which is in
    ``request.vector`` already. Vectors that it makes here are not counted in the costs.

    Return a Ranking whose source names your retriever; None if it takes no part in this mode; an
    empty Ranking if there are no candidates. Candidates that you do not list count less than those
    you list: as 0 if all your scores are above 0. The source "title" is for documents whose title
    is the query or begins with it: its scores, from 0 to 1, move them to the front. Ids out of the
    scope are dropped and reported in the results; ids that are not in the store are dropped, and so
    are those of documents without the words of ``request.scope.text``, which you may leave aside.
    Every plugin is asked; one that raises is left out and reported in the results.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_fuse(
    request: SearchRequest, rankings: Sequence[Ranking], store: Store
) -> Ranking | None:
    """Merge several rankings into one.

    rankings: at least one, not empty, each of a different source. store: for exact scores of
    candidates that a retriever did not return (`similarity`; `score` of a `TextScores`). Called
    again with a deeper pool if more hits are wanted; new ids are then appended to the earlier ones.
    Return a Ranking of some or all of their ids; None to leave it to other plugins. Stops at the
    first result that is not None.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_rerank(
    request: SearchRequest, hits: Sequence[SearchHit], store: Store
) -> Sequence[SearchHit]:
    """Reorder hits, or remove some of them.

    hits: what the other rerankers left. All are called, one after the other, so no reranker can
    bring back a hit that another removed. A wrapper gets the same from its ``yield``. store: to
    read more than a hit has, such as the neighbours of its passage.

    Return hits, best first; an empty list ends the results here. A reranker that raises, returns
    None or returns hits it was not given ends the search with HookFailed, because hits that it
    might have removed must not be shown. One that only reorders is marked
    ``@hookimpl(orders_only=True)``: if it fails, the search continues without it and is
    ``degraded``. Called for each 50 hits from the top, as far as the page reaches, and always with
    the same 50, so that pages fit together.
    """
    raise NotImplementedError


@hookspec
def semantic_event(event: Event) -> None:
    """Listen to what has happened: one of the records of `semantic_core.events`.

    Called after the fact, in the thread that did it: for a write after its commit, so it can undo
    nothing. It should return quickly; hand slow work to a thread or a queue.
    Every plugin is called. One that raises is logged and reported in ``core.plugins()``, and stops
    nobody. What a listener does itself is not announced to it again.
    """
    raise NotImplementedError


@hookspec
def semantic_commands() -> Mapping[str, tuple[str, str]]:
    """Add commands to ``semantic-core``.

    Return {name: ("module:attribute", help in one line)}; the attribute is a `click.Command`, and
    its module is imported when the command is called. None or {} adds nothing.
    Every plugin is asked when the help is shown or an unknown command is called. Names of the
    kernel's own commands cannot be taken; two offers of one name are a conflict: neither is used.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def semantic_orm_adapter(model: type) -> type[Any] | None:
    """Return the adapter class that supports this model.

    model: a class with a table, of any ORM. Return a subclass of
    `semantic_core.orm.BaseORMAdapter`; None if it is no model of your ORM. Import the ORM inside,
    and only if it is imported already, so that the call costs nothing for models of other ORMs.
    Stops at the first result that is not None. Called once per model, when its index is bound.
    """
    raise NotImplementedError


@cache
def hook_names() -> tuple[str, ...]:
    """The names of all hooks, in the order of a life cycle."""
    names = []
    for name, value in globals().items():
        if name.startswith(PREFIX) and callable(value):
            names.append(name)
    return tuple(names)


@cache
def signature_of(name: str) -> Any:
    """The signature of a hook."""
    from inspect import signature

    return signature(globals()[name])
