"""Whatever query of Peewee a search is limited to, it finds exactly its rows, in the order of the
ranking: random conditions over joins, with OR, NOT, EXISTS, DISTINCT, LIMIT and UNION, against the
rows that Peewee itself gives.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from semantic_core_peewee import PeeweeAdapter

from semantic_core import SemanticCore
from semantic_core.testing import HashEmbedder

sys.path.insert(0, str(Path(__file__).parent))
from kit_harness import PeeweeHarness

ROWS = 60
WORDS = ("loop", "file", "error", "tomato")

leaves = st.one_of(
    st.tuples(st.just("stars"), st.integers(0, 6)),
    st.tuples(st.just("author"), st.sampled_from(["Ann", "Bea"])),
    st.tuples(st.just("tag"), st.sampled_from(["red", "blue"])),
    st.tuples(st.just("title"), st.sampled_from(["1", "t2", "%", "'"])),
    st.tuples(st.just("hidden"), st.booleans()),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("and"), inner, inner),
        st.tuples(st.just("or"), inner, inner),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=5,
)
cuts = st.tuples(st.booleans(), st.one_of(st.none(), st.integers(0, 30)), st.integers(0, 20))
several = st.one_of(st.none(), trees)


class Queries:
    """Random conditions as queries of Peewee."""

    def __init__(self, models: dict[str, Any]) -> None:
        self.article, self.author = models["article"], models["author"]
        self.tag, self.tagging = models["tag"], models["tagging"]

    def condition(self, tree: Any) -> Any:
        name, *rest = tree
        if name == "and":
            return self.condition(rest[0]) & self.condition(rest[1])
        if name == "or":
            return self.condition(rest[0]) | self.condition(rest[1])
        if name == "not":
            return ~(self.condition(rest[0]))
        if name == "stars":
            return self.article.stars > rest[0]
        if name == "author":
            return self.author.name == rest[0]
        if name == "title":
            return self.article.title.contains(rest[0])
        if name == "hidden":
            return self.article.hidden == rest[0]
        tagged = (
            self.tagging.select(peewee.SQL("1"))
            .join(self.tag)
            .where((self.tagging.article == self.article.id) & (self.tag.name == rest[0]))
        )
        return peewee.fn.EXISTS(tagged)

    def query(self, tree: Any, cut: Any, other: Any) -> Any:
        once, limit, offset = cut
        found = self._select(tree)
        if other is not None:
            return found | self._select(other)
        found = found.distinct() if once else found
        found = found.order_by(self.article.stars.desc(nulls="last"), self.article.id)
        return found if limit is None else found.limit(limit).offset(offset)

    def _select(self, tree: Any) -> Any:
        every = peewee.ModelSelect(self.article, self.article._meta.sorted_fields)
        return every.join(self.author, peewee.JOIN.LEFT_OUTER).where(self.condition(tree))


@pytest.fixture(params=["sqlite3", "postgresql"])
def opened(
    request: pytest.FixtureRequest, open_database: Callable[..., Any]
) -> Iterator[PeeweeHarness]:
    db = open_database(request.param)
    dialect = "sqlite" if request.param == "sqlite3" else request.param
    harness = PeeweeHarness(db, dialect, db.close)
    fill(harness)
    yield harness


def fill(opened: PeeweeHarness) -> None:
    chance = random.Random(7)
    made = opened.models
    for id, name in enumerate(("Ann", "Bea", "Cid"), 1):
        opened.create(made["author"], id=id, name=name)
    for number, name in enumerate(("red", "blue", "red"), 1):
        opened.create(made["tag"], id=number, name=name)
    for id in range(ROWS):
        opened.create(
            made["article"],
            id=id,
            title=chance.choice([f"t{id}", "it's 100%", None]),
            content=" ".join(chance.choices(WORDS, k=3)),
            stars=chance.choice([None, *range(6)]),
            hidden=chance.choice([None, True, False]),
            author_id=chance.choice([None, 1, 2, 3]),
        )
    pairs = sorted({(chance.randrange(ROWS), chance.randint(1, 3)) for _ in range(ROWS)})
    for number, (article, tag) in enumerate(pairs):
        opened.create(made["tagging"], id=number, article_id=article, tag_id=tag)


def test_a_search_among_any_query_finds_exactly_its_rows(
    opened: PeeweeHarness, tmp_path: Path
) -> None:
    queries = Queries(opened.models)
    embedder = HashEmbedder(dimensions=32)
    with SemanticCore(path=tmp_path / "index.db", embedder=embedder, plugins=["sqlite"]) as core:
        index: Any = core.bind(
            queries.article,
            adapter=PeeweeAdapter,
            adapter_options=opened.options,
            source_fields=["title", "content"],
            sync="manual",
        )
        index.sync()
        ranked: dict[Any, list[int]] = {}
        for word in WORDS:
            for mode in ("text", "vector"):
                found = index.search(word, mode=mode, limit=ROWS * 2)
                ranked[word, mode] = [row.id for row in found]

        @settings(
            max_examples=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(trees, cuts, several, st.sampled_from(WORDS), st.integers(1, 40))
        def agree(tree: Any, cut: Any, other: Any, word: str, limit: int) -> None:
            query = queries.query(tree, cut, other)
            rows = {row.id for row in query.clone()}
            for mode in ("text", "vector"):
                wanted = [id for id in ranked[word, mode] if id in rows]
                found = index.search(word, among=query, mode=mode, limit=limit, total=True)
                assert [row.id for row in found] == wanted[:limit]
                if mode == "text":
                    assert (found.total, found.total_is_exact) == (len(wanted), True)
            everything = index.search(word, among=query, limit=ROWS * 2)
            assert sorted(row.id for row in everything) == sorted(rows)

        agree()
        index.uninstall()
