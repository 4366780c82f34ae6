"""The search backend: query compilers, results, and `SemanticSearchBackend` itself.

Words decide what matches, exactly as with the backends of modelsearch; a search for plain text adds
what is close in meaning. The query set of the caller decides which rows there are.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from modelsearch.backends.base import (
    BaseSearchBackend,
    BaseSearchQueryCompiler,
    BaseSearchResults,
    FilterFieldError,
    SearchFieldError,
)
from modelsearch.query import PlainText

from semantic_core.orm import BaseORMAdapter
from semantic_core.types import SearchResults
from semantic_core_wagtail.families import MOST_BOUND, top_key
from semantic_core_wagtail.following import index_of
from semantic_core_wagtail.index import FamilyIndex, FamilyRebuilder
from semantic_core_wagtail.options import PACKAGE, Options, checked_options
from semantic_core_wagtail.words import Matches, WordIndex

log = logging.getLogger("semantic_core_wagtail")
LEAST_PAGE = 100
"""The smallest page of hybrid search, of which objects outside of the query set are left out."""


class SemanticSearchQueryCompiler(BaseSearchQueryCompiler):  # type: ignore[misc]
    """One search: its query, and the query set whose rows may be found."""

    DEFAULT_OPERATOR = "and"
    HANDLES_ORDER_BY_EXPRESSIONS = True
    fields: Sequence[str] | None

    def __init__(
        self,
        queryset: models.QuerySet[Any],
        query: Any,
        fields: Sequence[str] | None = None,
        operator: str | None = None,
        order_by_relevance: bool = True,
    ) -> None:
        super().__init__(queryset, query, fields, operator, order_by_relevance)
        self._asks_for_words = operator is not None or fields is not None

    @cached_property
    def adapter(self) -> BaseORMAdapter:
        """The index of the model's family."""
        return index_of(self.queryset.model)

    @cached_property
    def key_name(self) -> str:
        """The field of the query set that has the keys of documents."""
        return top_key(self.queryset.model)

    def found_words(self, words: WordIndex) -> Matches:
        """What the query matches by its words."""
        return words.matches(self.query)

    def may_add_by_meaning(self) -> bool:
        """Whether the search is for plain text. Where an operator, fields or a structured query are
        given, exactly that is meant.
        """
        return type(self.query) is PlainText and not self._asks_for_words

    def ranked(self, options: Options) -> Ranked:
        """What is found, computed once for this search."""
        known = self.__dict__.get("_ranked")
        if known is None:
            known = self._search(options)
            self.__dict__["_ranked"] = known
        ranked: Ranked = known
        return ranked

    def _search(self, options: Options) -> Ranked:
        adapter = self.adapter
        adapter.freshen()
        reason = adapter.coordinator.behind(adapter)
        if reason:
            log.warning("%s answers less completely: %s", adapter, reason)
        words = WordIndex(adapter, self.fields)
        found = self.found_words(words)
        if found.inverted:
            left_out = {adapter.parse_key(key) for key in found.scores}
            return Ranked(self, None, left_out)
        scores = words.with_field_boosts(found.scores)
        rows = self.rows_among(scores)
        scores = {key: score for key, score in scores.items() if key in rows}
        order = sorted(scores, key=lambda key: (-scores[key], _newest_first(rows[key])))
        if options.meaning and self.may_add_by_meaning():
            order = self._with_meaning(order, scores, rows, options)
        return Ranked(self, {rows[key]: scores[key] for key in order}, set())

    def rows_among(self, keys: Iterable[str]) -> dict[str, Any]:
        """Those of these documents whose rows are in the query set, with their primary keys."""
        parsed = {self.adapter.parse_key(key): key for key in keys}
        return {parsed[primary_key]: primary_key for primary_key in self._within(parsed)}

    def _within(self, primary_keys: Iterable[Any]) -> set[Any]:
        wanted = set(primary_keys)
        if len(wanted) > MOST_BOUND or self.queryset.query.is_sliced:
            rows = self.queryset.order_by() if not self.queryset.query.is_sliced else self.queryset
            return wanted.intersection(rows.values_list(self.key_name, flat=True))
        if not wanted:
            return set()
        rows = self.queryset.order_by().filter(**{f"{self.key_name}__in": wanted})
        return set(rows.values_list(self.key_name, flat=True))

    def _with_meaning(
        self, order: list[str], scores: dict[str, float], rows: dict[str, Any], options: Options
    ) -> list[str]:
        """The order of hybrid search, in which `options.meaning` objects are added to those that
        contain the words. scores, rows: receive what is added.
        """
        with_words = set(order)
        merged: dict[str, float] = {}
        for hits in self._hybrid(options):
            merged.clear()
            others = [hit.ref.key for hit in hits if hit.ref.key not in with_words]
            added = self.rows_among(others)
            left = options.meaning
            for hit in hits:
                key = hit.ref.key
                if key in with_words:
                    merged[key] = hit.score
                elif key in added and left and _is_close(hit, options):
                    merged[key] = hit.score
                    rows[key] = added[key]
                    left -= 1
            if not left:
                break
        lowest = min(merged.values(), default=1.0)
        for place, key in enumerate(key for key in order if key not in merged):
            merged[key] = lowest - 1e-9 * (place + 1)
        scores.clear()
        scores.update(merged)
        return list(merged)

    def _hybrid(self, options: Options) -> Iterator[SearchResults]:
        """The best hits of hybrid search: first whatever rows they are of; then, for a query set
        that has few of those, of its rows alone.
        """
        adapter = self.adapter
        collection = adapter.declaration.collection
        for within in (False, True):
            keys = adapter.keys_among(self.queryset) if within else None
            yield adapter.core.search(
                self.query.query_string,
                limit=max(LEAST_PAGE, 2 * options.meaning),
                collections=[collection],
                among=None if keys is None else {collection: keys},
            )


def _is_close(hit: Any, options: Options) -> bool:
    similarity = hit.scores.get("vector")
    if similarity is None:
        return False  # it has some of the words, and its meaning was not among the closest
    return options.least_similarity is None or similarity >= options.least_similarity


def _newest_first(primary_key: Any) -> Any:
    """Of equal scores the newest row comes first, in the same order on every page."""
    return -primary_key if isinstance(primary_key, int) else str(primary_key)


class SemanticAutocompleteQueryCompiler(SemanticSearchQueryCompiler):
    """A search for what is being typed: words of autocomplete fields that begin so."""

    def found_words(self, words: WordIndex) -> Matches:
        """See `SemanticSearchQueryCompiler`."""
        if not isinstance(self.query, PlainText):
            return words.matches(self.query)
        every = self.query.operator == "and"
        return words.beginnings(self.query.query_string, every=every)

    def may_add_by_meaning(self) -> bool:
        """See `SemanticSearchQueryCompiler`. The beginning of a word has no meaning yet."""
        return False

    def check(self) -> None:
        """See `BaseSearchQueryCompiler`. Raises SearchFieldError for a field that is no
        AutocompleteField.
        """
        fields = self.fields
        known = {each.field_name for each in self.queryset.model.get_autocomplete_search_fields()}
        for name in fields or ():
            if name not in known:
                raise SearchFieldError(
                    f'Cannot search with field "{name}". Please add index.AutocompleteField('
                    f'"{name}") to {self.queryset.model.__name__}.search_fields.',
                    field_name=name,
                )
        self.fields = None
        try:
            super().check()
        finally:
            self.fields = fields


class Ranked:
    """What a search found: the keys of rows in order of relevance, or everything but some.

    scores: the score of each row found, best first; None if the query only excludes.
    """

    def __init__(
        self, compiler: SemanticSearchQueryCompiler, scores: dict[Any, float] | None, left_out: Any
    ) -> None:
        self.compiler = compiler
        self.scores = scores
        self.left_out = left_out
        self.queryset = compiler.queryset
        self.name = compiler.key_name

    @cached_property
    def keys(self) -> list[Any]:
        """The keys of all rows found, in the order of the answer, each once."""
        by_relevance = self.compiler.order_by_relevance
        if self.scores is not None and by_relevance:
            return list(self.scores)
        rows = self.queryset
        if not rows.query.is_sliced:
            if not by_relevance and not rows.query.order_by:
                rows = rows.order_by("-pk")
            if self.scores is not None and len(self.scores) <= MOST_BOUND:
                rows = rows.filter(**{f"{self.name}__in": list(self.scores)})
        keys = dict.fromkeys(rows.values_list(self.name, flat=True))
        if self.scores is None:
            return [key for key in keys if key not in self.left_out]
        return [key for key in keys if key in self.scores]

    def rows(self, keys: Sequence[Any]) -> Iterator[Any]:
        """The objects with these keys, in this order, as the query set loads them."""
        loaded = {}
        for some in _slices(keys):
            if self.queryset.query.is_sliced:
                manager = models.QuerySet(self.queryset.model, using=self.queryset.db)
                chosen = manager.filter(**{f"{self.name}__in": some})
            else:
                chosen = self.queryset.order_by().filter(**{f"{self.name}__in": some})
            for instance in chosen:
                loaded[getattr(instance, self.name)] = instance
        for key in keys:
            if key in loaded:
                yield loaded[key]

    def counted(self, field: str) -> Counter[Any]:
        """How many of the rows found have each value of a field."""
        counts: Counter[Any] = Counter()
        for some in _slices(self.keys):
            rows = self.queryset.order_by().filter(**{f"{self.name}__in": some})
            pairs = set(rows.values_list(self.name, field))
            counts.update(value for _, value in pairs)
        return counts


def _slices(keys: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(keys), MOST_BOUND):
        yield list(keys[start : start + MOST_BOUND])


class SemanticSearchResults(BaseSearchResults):  # type: ignore[misc]
    """The objects that a search found. It can be sliced, counted and iterated over, like a query
    set.
    """

    supports_facet = True

    @property
    def _ranked(self) -> Ranked:
        ranked: Ranked = self.query_compiler.ranked(self.backend.options)
        return ranked

    def _do_search(self) -> list[Any]:
        ranked = self._ranked
        found = list(ranked.rows(ranked.keys[self.start : self.stop]))
        if self._score_field:
            scores = ranked.scores or {}
            for instance in found:
                score = scores.get(getattr(instance, ranked.name), 0.0)
                setattr(instance, self._score_field, float(score))
        return found

    def _do_count(self) -> int:
        return len(self._ranked.keys[self.start : self.stop])

    def facet(self, field_name: str) -> OrderedDict[Any, int]:
        """How many objects found have each value of a FilterField, the most frequent first.

        Slices do not change it. Raises FilterFieldError for a field that is none.
        """
        model = self.query_compiler.queryset.model
        fields = model.get_filterable_search_fields()
        names = {name for each in fields for name in (each.field_name, each.get_attname(model))}
        if field_name not in names:
            raise FilterFieldError(
                f'Cannot facet search results with field "{field_name}". Please add '
                f"index.FilterField('{field_name}') to {model.__name__}.search_fields.",
                field_name=field_name,
            )
        counts = self._ranked.counted(field_name)
        return OrderedDict(counts.most_common())


class SemanticSearchBackend(BaseSearchBackend):  # type: ignore[misc]
    """Searches the models of a project by words and meaning.

    params: the entry of ``MODELSEARCH_BACKENDS`` without BACKEND, see `Options`. Raises
    ImproperlyConfigured.
    """

    query_compiler_class = SemanticSearchQueryCompiler
    autocomplete_query_compiler_class = SemanticAutocompleteQueryCompiler
    index_class = FamilyIndex
    results_class = SemanticSearchResults
    rebuilder_class = FamilyRebuilder

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__(params)
        if not apps.is_installed(PACKAGE):
            raise ImproperlyConfigured(
                f"The search backend {PACKAGE} follows the models of installed apps. Add "
                f'"{PACKAGE}" to INSTALLED_APPS, and run manage.py migrate.'
            )
        self.options = checked_options(PACKAGE, params)

    def get_index_for_model(self, model: type[models.Model]) -> FamilyIndex:
        """The index of the model's family."""
        return FamilyIndex(self, model)
