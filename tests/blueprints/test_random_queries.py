"""Whatever query of Django or SQLAlchemy a search is limited to, it finds exactly its rows, in the
order of the ranking: random conditions over joins, with OR, NOT, EXISTS, DISTINCT, LIMIT and UNION,
against the rows that the ORM itself gives.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alchemy_harness import SQLAlchemyHarness
from django.db import models
from django_harness import DjangoHarness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import and_, exists, not_, or_, select, union
from sqlalchemy.orm import Session, aliased

from semantic_core import SemanticCore
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing import HashEmbedder

ROWS = 60
EXAMPLES = 60
WORDS = ("loop", "file", "error", "tomato")

leaves = st.one_of(
    st.tuples(st.just("stars"), st.integers(0, 6)),
    st.tuples(st.just("author"), st.sampled_from(["Ann", "Bea"])),
    st.tuples(st.just("mentor"), st.sampled_from(["Ann", "Bea"])),
    st.tuples(st.just("tag"), st.sampled_from(["red", "blue"])),
    st.tuples(st.just("title"), st.sampled_from(["1", "t2", "%", "'"])),
    st.tuples(st.just("hidden"), st.booleans()),
    st.tuples(st.just("tagged"), st.just(0)),
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
"""(whether each row counts once, LIMIT, OFFSET)."""
several = st.one_of(st.none(), trees)
"""The condition of a second query that the first is united with."""


class DjangoQueries:
    """Random conditions as query sets."""

    harness = DjangoHarness

    def __init__(self, opened: Any) -> None:
        self._alias = opened.alias
        self._rows = models.QuerySet(opened.models["article"], using=opened.alias)
        self._tags = models.QuerySet(opened.models["tagging"], using=opened.alias)

    def condition(self, tree: Any) -> Any:
        name, *rest = tree
        if name == "and":
            return self.condition(rest[0]) & self.condition(rest[1])
        if name == "or":
            return self.condition(rest[0]) | self.condition(rest[1])
        if name == "not":
            return ~self.condition(rest[0])
        if name == "tagged":
            return models.Exists(self._tags.filter(article_id=models.OuterRef("pk")))
        field = {
            "stars": "stars__gt",
            "author": "author__name",
            "mentor": "author__mentor__name",
            "tag": "tags__name",
            "title": "title__contains",
            "hidden": "hidden",
        }[name]
        return models.Q(**{field: rest[0]})

    def query(self, tree: Any, cut: Any, other: Any) -> Any:
        once, limit, offset = cut
        found = self._rows.filter(self.condition(tree)).order_by("-stars", "id")
        found = found.distinct() if once else found
        if other is not None:
            found = found.order_by().union(self._rows.filter(self.condition(other)))
            found = found.order_by("id")
        return found if limit is None else found[offset : offset + limit]

    def ids(self, query: Any) -> set[int]:
        return {row.pk for row in query.all()}


class AlchemyQueries:
    """Random conditions as selects."""

    harness = SQLAlchemyHarness

    def __init__(self, opened: Any) -> None:
        self._engine = opened.engine
        self._article = opened.models["article"]
        self._author = opened.models["author"]
        self._tag = opened.models["tag"]
        self._tagging = opened.models["tagging"]

    def condition(self, tree: Any) -> Any:
        article = self._article
        name, *rest = tree
        if name == "and":
            return and_(self.condition(rest[0]), self.condition(rest[1]))
        if name == "or":
            return or_(self.condition(rest[0]), self.condition(rest[1]))
        if name == "not":
            return not_(self.condition(rest[0]))
        if name == "tagged":
            return exists().where(self._tagging.article_id == article.id)
        if name == "stars":
            return article.stars > rest[0]
        if name == "author":
            return self._author.name == rest[0]
        if name == "mentor":
            mentor = aliased(self._author)
            return article.author.has(
                self._author.mentor.of_type(mentor).has(mentor.name == rest[0])
            )
        if name == "tag":
            return article.tags.any(self._tag.name == rest[0])
        if name == "title":
            return article.title.contains(rest[0], autoescape=True)
        return article.hidden.is_(rest[0])

    def query(self, tree: Any, cut: Any, other: Any) -> Any:
        once, limit, offset = cut
        found = self._select(tree, once)
        if other is not None:
            return union(found.order_by(None), self._select(other, once).order_by(None))
        return found if limit is None else found.limit(limit).offset(offset)

    def _select(self, tree: Any, once: bool) -> Any:
        article = self._article
        found = select(article).join(article.author, isouter=True).where(self.condition(tree))
        found = found.order_by(article.stars.desc().nulls_last(), article.id)
        return found.distinct() if once else found

    def ids(self, query: Any) -> set[int]:
        with Session(self._engine) as session:
            return {row.id for row in session.execute(select(query.subquery().c.id))}


class World:
    """Rows in a database, an index of them in a file, and queries for them."""

    def __init__(self, opened: Any, queries: Any, folder: Path) -> None:
        self.queries = queries
        self.core = SemanticCore(
            path=folder / "index.db", embedder=HashEmbedder(dimensions=32), plugins=["sqlite"]
        )
        self.index: BaseORMAdapter = self.core.bind(
            opened.models["article"],
            adapter=opened.adapter,
            adapter_options=opened.options,
            source_fields=["title", "content"],
            sync="manual",
        )
        self._fill(opened)
        self.index.sync()
        article = opened.models["article"]
        opened.create(article, id=ROWS, title="t2 not indexed", content="loop file", stars=5)
        self.ranked: dict[tuple[str, str], list[int]] = {}
        for word in WORDS:
            for mode in ("text", "vector"):
                found = self.index.search(word, mode=mode, limit=ROWS * 2)  # type: ignore[arg-type]
                self.ranked[word, mode] = [row.id for row in found]

    def _fill(self, opened: Any) -> None:
        chance = random.Random(7)
        made = opened.models
        opened.create(made["author"], id=1, name="Ann")
        opened.create(made["author"], id=2, name="Bea", mentor_id=1)
        opened.create(made["author"], id=3, name="Cid", mentor_id=2)
        for number, name in enumerate(("red", "blue", "red"), 1):
            opened.create(made["tag"], id=number, name=name)
        for id in range(ROWS):
            content = " ".join(chance.choices(WORDS, k=3))
            opened.create(
                made["article"],
                id=id,
                title=chance.choice([f"t{id}", "it's 100%", None]),
                content=content,
                stars=chance.choice([None, *range(6)]),
                hidden=chance.choice([None, True, False]),
                author_id=chance.choice([None, 1, 2, 3]),
            )
        for number, (article, tag) in enumerate(
            sorted({(chance.randrange(ROWS), chance.randint(1, 3)) for _ in range(ROWS)})
        ):
            opened.create(made["tagging"], id=number, article_id=article, tag_id=tag)

    def agree(self, query: Any, word: str, limit: int) -> None:
        """Fail unless a search among the query gives its rows in the order of the ranking."""
        rows = self.queries.ids(query)
        for mode in ("text", "vector"):
            wanted = [id for id in self.ranked[word, mode] if id in rows]
            found = self.index.search(
                word,
                among=query,
                mode=mode,  # type: ignore[arg-type]
                limit=limit,
                total=True,
            )
            assert [row.id for row in found] == wanted[:limit]
            if mode == "text":
                assert (found.total, found.total_is_exact) == (len(wanted), True)
        everything = self.index.search(word, among=query, limit=ROWS * 2)
        assert {row.id for row in everything} == rows - {ROWS}
        assert len(everything) == len(rows - {ROWS})


@pytest.fixture(params=[DjangoQueries, AlchemyQueries], ids=["django", "sqlalchemy"])
def kind_of_queries(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["sqlite3", "postgresql"])
def world(
    request: pytest.FixtureRequest,
    kind_of_queries: Any,
    keep: Callable[[str, Any], Any],
    tmp_path: Path,
) -> Iterator[World]:
    opened = kind_of_queries.harness(keep(request.param, kind_of_queries.harness))
    world = World(opened, kind_of_queries(opened), tmp_path)
    try:
        yield world
    finally:
        world.index.uninstall()
        world.core.close()
        opened.close()


def test_a_search_among_any_query_finds_exactly_its_rows(world: World) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(trees, cuts, several, st.sampled_from(WORDS), st.integers(1, 40))
    def agree(tree: Any, cut: Any, other: Any, word: str, limit: int) -> None:
        query = world.queries.query(tree, cut, other)
        world.agree(query, word, limit)

    agree()
