"""What a query of modelsearch matches: sets of documents, combined as the query says.

Each word is looked up in the full-text index; AND, OR and NOT are operations on the sets. What an
index of words does not answer, such as the order of words or the field they are in, is checked in
the texts of the objects themselves.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from django.db import models
from modelsearch.query import And, Boost, Fuzzy, MatchAll, Not, Or, Phrase, PlainText

from semantic_core.orm import BaseORMAdapter
from semantic_core.protocols import Vocabulary
from semantic_core.types import Scope, Token
from semantic_core_wagtail.documents import (
    LONGEST_PREFIX,
    PREFIXES,
    FieldText,
    analyser,
    field_texts,
    title_name,
)
from semantic_core_wagtail.families import families, indexed_objects

MOST = 10_000
"""The most documents that one word is looked up for, the best first: the core's largest page. Of a
word that more documents contain, a combination with rarer words is still exact."""
MOST_NEAR = 20
"""The most words that one misspelt word may stand for."""
NEAR = 0.5
"""What the score of a word counts that is only near to the one that was typed."""
MOST_BOOSTED = 100
"""The best objects whose boosts are read from their texts."""


@attrs.frozen
class Matches:
    """The documents that a query matches, by key, with their scores; higher is better.

    inverted: whether it matches all documents but these; then there are no scores.
    """

    scores: Mapping[str, float] = attrs.field(factory=dict)
    inverted: bool = False

    def __and__(self, other: Matches) -> Matches:
        if self.inverted and other.inverted:
            return Matches({**self.scores, **other.scores}, inverted=True)
        if self.inverted:
            return other & self
        if other.inverted:
            return Matches({k: s for k, s in self.scores.items() if k not in other.scores})
        both = {}
        for key, score in self.scores.items():
            if key in other.scores:
                both[key] = score + other.scores[key]
        return Matches(both)

    def __or__(self, other: Matches) -> Matches:
        if self.inverted or other.inverted:
            return ~(~self & ~other)
        either = dict(self.scores)
        for key, score in other.scores.items():
            either[key] = either.get(key, 0.0) + score
        return Matches(either)

    def __invert__(self) -> Matches:
        return Matches(self.scores, not self.inverted)

    def boosted(self, boost: float) -> Matches:
        """The same documents with their scores times the boost."""
        return Matches({k: score * boost for k, score in self.scores.items()}, self.inverted)


@attrs.frozen
class QueryWord:
    """A word of a query. typed: as it was typed. terms: what the full-text index has for it, such
    as its stem; a text contains the word if it contains one of them.
    """

    typed: str
    terms: frozenset[str]


EVERYTHING = Matches(inverted=True)
NOTHING = Matches()


class WordIndex:
    """Looks up words in the index of one family, for one search.

    fields: the names of the search fields that count; None for all.
    """

    def __init__(self, adapter: BaseORMAdapter, fields: Sequence[str] | None = None) -> None:
        self.adapter = adapter
        self.collection = adapter.declaration.collection
        self.fields = None if fields is None else frozenset(fields)
        self.looked_up: set[QueryWord] = set()
        self._found: dict[str, dict[str, float]] = {}
        self._texts: dict[str, tuple[FieldText, ...]] = {}

    def matches(self, query: Any) -> Matches:
        """What a query matches. Raises NotImplementedError for a query of an unknown kind."""
        if isinstance(query, MatchAll):
            return EVERYTHING
        if isinstance(query, PlainText):
            every = query.operator == "and"
            return self._leaf(query.query_string, every=every).boosted(query.boost)
        if isinstance(query, Phrase):
            return self._leaf(query.query_string, every=True, in_order=True)
        if isinstance(query, Boost):
            return self.matches(query.subquery).boosted(query.boost)
        if isinstance(query, Not):
            before = set(self.looked_up)
            inverted = ~self.matches(query.subquery)
            self.looked_up = before  # words that are excluded give no boost
            return inverted
        if isinstance(query, And | Or):
            return self._combined(query)
        if isinstance(query, Fuzzy):
            return self._fuzzy(query)
        raise NotImplementedError(
            f"`{type(query).__name__}` is not supported by semantic_core_wagtail."
        )

    def _fuzzy(self, query: Fuzzy) -> Matches:
        """Each word, or one that is up to two edits away: none for words of up to two letters, one
        for up to five, as Elasticsearch has it (fuzziness "AUTO").
        """
        every = query.operator == "and"
        combined = EVERYTHING if every else NOTHING
        words = [word.typed.lower() for word in self._query_words(query.query_string)]
        for word in dict.fromkeys(words):
            found = self._leaf(word, every=True)
            for other in self._near(word):
                found = found | self._leaf(other, every=True).boosted(NEAR)
            combined = combined & found if every else combined | found
        return combined if words else NOTHING

    def _near(self, word: str) -> list[str]:
        store = self.adapter.core.store
        distance = 0 if len(word) <= 2 else 1 if len(word) <= 5 else 2
        if not distance or not isinstance(store, Vocabulary):
            return []
        scope = Scope(collections=(self.collection,))
        return [near for near, _ in store.words_near(word, distance, MOST_NEAR, scope)]

    def _combined(self, query: Any) -> Matches:
        every = isinstance(query, And)
        combined = EVERYTHING if every else NOTHING
        for subquery in query.subqueries:
            found = self.matches(subquery)
            combined = combined & found if every else combined | found
        return combined

    def beginnings(self, text: str, *, every: bool) -> Matches:
        """The documents with words, in autocomplete fields, that begin with what is typed.

        Of a short title what is typed is a larger part, so it comes first.
        """
        typed = [token.term for token in analyser().query_tokens(text)]
        if not typed:
            return NOTHING
        combined = EVERYTHING if every else NOTHING
        for word in typed:
            found = self._beginning(word)
            combined = combined & found if every else combined | found
        return combined

    def _beginning(self, word: str) -> Matches:
        where = {PREFIXES: word[:LONGEST_PREFIX]}
        scores: dict[str, float] = {}
        while True:
            page = self.adapter.core.documents(
                where=where, collections=[self.collection], offset=len(scores), limit=MOST
            )
            for summary in page:
                scores[summary.ref.key] = len(word) / max(len(summary.title), len(word))
            if len(scores) >= page.total or not page:
                break
        if len(word) > LONGEST_PREFIX:
            scores = {key: scores[key] for key in self._beginning_so(word, scores)}
        return Matches(scores)

    def _beginning_so(self, word: str, keys: Iterable[str]) -> list[str]:
        """Those of the documents that have a longer word which begins so, in their texts."""
        found = []
        for key, texts in self.texts(keys).items():
            held = [token.term for each in texts for token in analyser().tokens(each.text)]
            if any(each.startswith(word) for each in held):
                found.append(key)
        return found

    # --- words ------------------------------------------------------------------------------------

    def _leaf(self, text: str, *, every: bool, in_order: bool = False) -> Matches:
        words = self._query_words(text)
        if not words:
            return NOTHING
        self.looked_up.update(words)
        found = {word: self._documents_with(word) for word in dict.fromkeys(words)}
        common = {word for word, scores in found.items() if len(scores) >= MOST}
        if every:
            rare = [scores for word, scores in found.items() if word not in common]
            keys = _in_all(rare or list(found.values()))
        else:
            keys = set().union(*found.values())
        if every and len(common) < len(found):
            for word in common:  # the best documents with it were looked up, and there are more
                found[word] = self._documents_with(word, keys)
                keys.intersection_update(found[word])
        if self.fields is not None or in_order:
            keys = self._checked(keys, words, every=every, in_order=in_order)
        scores = {}
        for key in keys:
            scores[key] = sum(each.get(key, 0.0) for each in found.values())
        return Matches(scores)

    def _documents_with(self, word: QueryWord, among: set[str] | None = None) -> dict[str, float]:
        """The documents with this word, and their scores in full-text search. among: only these
        documents, at most `MOST`; None for all.
        """
        known = self._found.get(word.typed) if among is None else None
        if known is None:
            hits = self.adapter.core.search(
                word.typed,
                mode="text",
                limit=MOST,
                collections=[self.collection],
                among=None if among is None else {self.collection: among},
            )
            known = {hit.ref.key: hit.score for hit in hits}
            if among is None:
                self._found[word.typed] = known
        return known

    def _checked(
        self,
        keys: Iterable[str],
        words: Sequence[QueryWord],
        *,
        every: bool,
        in_order: bool,
    ) -> set[str]:
        """Those of the documents whose texts match: in the fields that count, and in order."""
        checked = set()
        for key, texts in self.texts(keys).items():
            counted = [each for each in texts if self.fields is None or each.name in self.fields]
            held = [self._terms(each.text) for each in counted]
            if in_order:
                matched = any(_follow_each_other(words, each) for each in held)
            else:
                everything: set[str] = set()
                for each in held:
                    everything.update(*each)
                present = [not word.terms.isdisjoint(everything) for word in words]
                matched = all(present) if every else any(present)
            if matched:
                checked.add(key)
        return checked

    # --- the objects behind the documents ---------------------------------------------------------

    def texts(self, keys: Iterable[str]) -> dict[str, tuple[FieldText, ...]]:
        """The texts of the search fields of these documents' objects, as the rows are now."""
        wanted = list(keys)
        unknown = [key for key in wanted if key not in self._texts]
        parsed = [self.adapter.parse_key(key) for key in unknown]
        for primary_key, instance in indexed_objects(self.adapter.model, parsed):
            self._texts[self.adapter.key_text([primary_key])] = tuple(field_texts(instance))
        return {key: self._texts[key] for key in wanted if key in self._texts}

    def with_field_boosts(self, scores: Mapping[str, float]) -> dict[str, float]:
        """The scores, those of the best documents times the boosts of the fields in which the words
        of the query are.
        """
        if not self.looked_up or not _has_boosts(self.adapter.model):
            return dict(scores)
        best = sorted(scores, key=lambda key: (-scores[key], key))[:MOST_BOOSTED]
        texts = self.texts(best)
        boosted = dict(scores)
        factors = {key: self._factor(texts.get(key, ())) for key in best}
        least = min(factors.values(), default=1.0)
        for key in scores:
            boosted[key] = scores[key] * factors.get(key, least)
        return boosted

    def _factor(self, texts: Sequence[FieldText]) -> float:
        """The mean, over the words of the query that an object has, of the boosts of the fields
        that contain the word; 1 if none of the words is in its texts as it was typed.
        """
        boosts: dict[QueryWord, float] = {}
        for each in texts:
            terms = set().union(*self._terms(each.text))
            for word in self.looked_up:
                if not word.terms.isdisjoint(terms):
                    boosts[word] = boosts.get(word, 0.0) + each.boost
        return sum(boosts.values()) / len(boosts) if boosts else 1.0

    # --- texts as the index reads them ------------------------------------------------------------

    def _query_words(self, text: str) -> list[QueryWord]:
        """The words of a query, in order."""
        groups: dict[int, list[Token]] = {}
        for token in self.adapter.core.analyser.query_tokens(text):
            groups.setdefault(token.position, []).append(token)
        words = []
        for tokens in groups.values():
            start = min(token.start for token in tokens)
            end = max(token.end for token in tokens)
            words.append(QueryWord(text[start:end], frozenset(token.term for token in tokens)))
        return words

    def _terms(self, text: str) -> list[set[str]]:
        """The terms of each word of a text, in order."""
        groups: dict[int, set[str]] = {}
        for token in self.adapter.core.analyser.tokens(text):
            groups.setdefault(token.position, set()).add(token.term)
        return [groups[position] for position in sorted(groups)]


def _in_all(sets: Sequence[Mapping[str, float]]) -> set[str]:
    smallest = min(sets, key=len)
    return {key for key in smallest if all(key in each for each in sets)}


def _follow_each_other(words: Sequence[QueryWord], text: Sequence[set[str]]) -> bool:
    """Whether the words are in the text, one directly after the other. text: the terms of each of
    its words.
    """
    for at in range(len(text) - len(words) + 1):
        pairs = zip(words, text[at : at + len(words)], strict=True)
        if all(not word.terms.isdisjoint(terms) for word, terms in pairs):
            return True
    return False


def _has_boosts(top: type[models.Model]) -> bool:
    """Whether a search field of the family, other than the title, has a boost.

    The title needs none: the index weighs it by itself.
    """
    for model in families()[top]:
        title = title_name(model)
        for field in model.get_search_fields():
            for name, boost in _boosts(field):
                if boost not in (None, 1, 1.0) and name != title:
                    return True
    return False


def _boosts(field: Any) -> Iterable[tuple[str, float | None]]:
    if hasattr(field, "fields"):
        for part in field.fields:
            for name, boost in _boosts(part):
                yield f"{field.field_name}.{name}", boost
    else:
        yield field.field_name, getattr(field, "boost", None)
