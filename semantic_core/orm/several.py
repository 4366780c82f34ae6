"""`search_models`: one search over the rows of several models.

Tested by tests/orm/test_several.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from semantic_core._interruption import cut_cleanly
from semantic_core._validation import check_count, clip
from semantic_core.errors import ConfigError, InputError
from semantic_core.filters import Filter
from semantic_core.orm.base import BaseORMAdapter, Where, check_fields_of, checked_where
from semantic_core.orm.index import SemanticIndex
from semantic_core.orm.results import ModelResults, found_rows
from semantic_core.ranking import RankingOptions
from semantic_core.types import Mode, Passages, SearchResults

if TYPE_CHECKING:
    from semantic_core._typos import Typos
    from semantic_core.query_syntax import Syntax


@cut_cleanly
def search_models(
    models: Sequence[Any],
    query: str,
    *,
    limit: int = 10,
    mode: Mode = "hybrid",
    where: Where = None,
    offset: int = 0,
    tenant: str | None = None,
    fresh: bool = False,
    timeout: float = 5.0,
    context: Mapping[str, Any] | None = None,
    among: Mapping[Any, object] | None = None,
    total: bool = False,
    facets: Sequence[str] | Mapping[str, int] | None = None,
    order_by: str | None = None,
    passages: Passages = "best",
    min_score: float = 0.0,
    ranking: RankingOptions | Mapping[str, Any] | None = None,
    syntax: Syntax = "plain",
    typos: Typos = "suggest",
) -> ModelResults[Any]:
    """The best `limit` rows of several models after the first `offset`, best first, with one query
    for each model: ``search_models([Article, Comment], "loops")``.

    models: models whose index is bound, or their indexes, such as ``Article.semantic`` where a
    model has several; all of one core. They may be of several databases and ORMs. among: for each
    of these models its rows, see `BaseORMAdapter.search`; None for all rows of all. where, facets,
    order_by: fields that are metadata_fields of every model; these may stand before a colon in a
    query. ranking: for all of them; the weights of fields in their declarations do not count here.
    tenant: for all of them, or for none. Everything else is as for `BaseORMAdapter.search`;
    ``waiting`` is the sum of all.

    Raises ConfigError for a model without an index, for one that is given twice, and for indexes of
    several cores; InputError if `among` names other models.
    """
    size = check_count("limit", limit, 1) + check_count("offset", offset)
    adapters = {model: _index_of(model) for model in _several(models)}
    by_collection = {adapter.declaration.collection: adapter for adapter in adapters.values()}
    if len(by_collection) < len(models) or len({id(each.core) for each in adapters.values()}) > 1:
        raise ConfigError(
            "search_models takes indexes of one core, each once.",
            hint="Bind them to the same core, and search others by themselves.",
        )
    if among is not None and (not isinstance(among, Mapping) or set(among) != set(adapters)):
        raise InputError(
            f"among must give the rows of each of the models, got {clip(among)}.",
            hint="Write among={Article: articles, Comment: comments}.",
        )
    conditions: dict[Any, None] = {}
    waiting = 0
    reasons: list[str] = []
    with ExitStack() as connected:
        for adapter in adapters.values():
            connected.enter_context(adapter.connected())
            conditions.update(dict.fromkeys(checked_where(adapter, where).conditions))
            check_fields_of(adapter, facets, order_by)
        keys = None
        if among is not None:
            keys = {}
            for model, adapter in adapters.items():
                rows = adapter.keys_among(among[model])
                keys[adapter.declaration.collection] = frozenset() if rows is None else rows
        for adapter in adapters.values():
            pending, why = adapter._before_search(fresh=fresh, timeout=timeout)
            waiting += pending
            reasons += why
        # Each raises unless all have tenants, or none.
        cores = [adapter._core_of(tenant) for adapter in adapters.values()]
        core = cores[0]
        if any(other._tenant != core._tenant for other in cores):
            raise InputError(f"The models do not agree on which tenant {clip(tenant)} is.")

        declared = [set(adapter.declaration.metadata_fields) for adapter in adapters.values()]
        fields = tuple(sorted(set.intersection(*declared)))

        def find(page: int, seen: int) -> SearchResults:
            return core.search(
                query,
                limit=page,
                mode=mode,
                where=Filter(tuple(conditions)),
                offset=seen,
                collections=list(by_collection),
                context=context,
                among=keys,
                total=total and not seen,
                facets=None if seen else facets,
                order_by=order_by,
                passages=passages,
                min_score=min_score,
                ranking=ranking,
                syntax=syntax,
                fields=fields,
                typos="ignore" if seen and typos == "suggest" else typos,
            )

        live = {name: adapter._live for name, adapter in by_collection.items()}
        found = found_rows(find, live, size)
        for name, adapter in by_collection.items():
            adapter._report_gone([ref for ref in found.gone if ref.collection == name])
        return found.results(offset, list(dict.fromkeys(reasons)), waiting)


def _several(models: object) -> Sequence[Any]:
    if isinstance(models, str | bytes) or not isinstance(models, Sequence) or not models:
        raise InputError(
            f"search_models takes a list of models, got {clip(models)}.",
            hint='Write search_models([Article, Comment], "loops").',
        )
    return models


def _index_of(model: Any) -> BaseORMAdapter:
    """The bound index of a model; of several, the one that is called "search"."""
    if isinstance(model, BaseORMAdapter):
        return model
    bound = [adapter for adapter in SemanticIndex.bound() if adapter.model is model]
    called_search = [each for each in bound if each.declaration.name == "search"]
    candidates = called_search if called_search else bound
    if len(candidates) == 1:
        return candidates[0]
    name = getattr(model, "__name__", None) or clip(model)
    if not bound:
        raise ConfigError(
            f"{name} has no index that is bound.",
            hint="Call init_database(...) at start-up, or give the index itself.",
        )
    raise ConfigError(
        f"{name} has {len(bound)} indexes.", hint=f"Give one of them, such as {name}.semantic."
    )
