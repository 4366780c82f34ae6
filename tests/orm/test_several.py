"""One search over several models: their rows in one order, one query for each model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mini import Database, MiniAdapter, Model

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError, FilterInvalid, InputError, TenantRequired
from semantic_core.orm import SemanticIndex, bind_declared, search_models
from semantic_core.testing import HashEmbedder


class World:
    """Articles and comments, with keys that are alike, in one database and one core."""

    def __init__(self, path: Path, core: SemanticCore, **said: Any) -> None:
        self.core = core
        db = Database(path / "app.db")
        db.run("CREATE TABLE article (id INTEGER PRIMARY KEY, body TEXT, year INTEGER, owner TEXT)")
        db.run("CREATE TABLE comment (id INTEGER PRIMARY KEY, body TEXT, year INTEGER, owner TEXT)")

        class Article(Model):
            table = "article"
            fields = {"id": int, "body": str, "year": int, "owner": str}
            search = SemanticIndex(["body"], metadata_fields=["year"], sync="inline", **said)

        class Comment(Model):
            table = "comment"
            fields = {"id": int, "body": str, "year": int, "owner": str}
            search = SemanticIndex(
                ["body"], metadata_fields=["year", "owner"], sync="inline", **said
            )

        Article.db = Comment.db = db
        self.Article, self.Comment, self.db = Article, Comment, db
        self.read: list[type] = []
        bind_declared(MiniAdapter, core, db=db)
        for number in range(1, 6):
            Article.create(id=number, body=f"a loop {number}", year=2020 + number, owner="ann")
            Comment.create(id=number, body=f"loop loop {number}", year=2020, owner="bea")


@pytest.fixture
def forgotten() -> Iterator[None]:
    before = list(SemanticIndex._declared)
    yield
    SemanticIndex._declared[:] = before


@pytest.fixture
def world(tmp_path: Path, forgotten: None) -> Iterator[World]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        yield World(tmp_path, core)


def named(rows: Any) -> list[str]:
    return [f"{type(row).__name__} {row.id}" for row in rows]


def test_rows_of_several_models_come_in_one_order(world: World) -> None:
    models = [world.Article, world.Comment]
    for mode in ("text", "hybrid", "vector"):
        found = search_models(models, "loop", mode=mode, limit=20)
        hits = world.core.search("loop", mode=mode, limit=20)
        refs = [f"{hit.ref.collection.title()} {hit.ref.key}" for hit in hits]
        assert named(found) == refs
        assert [row.search_hit for row in found] == list(found.hits) == list(hits)
        first = search_models(models, "loop", mode=mode, limit=3)
        second = search_models(models, "loop", mode=mode, limit=30, offset=3)
        assert named([*first, *second]) == refs


def test_there_is_one_query_for_each_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[type] = []
    load = MiniAdapter.load

    def counted(self: Any, keys: Any) -> Any:
        loads.append(self.model)
        return load(self, keys)

    monkeypatch.setattr(MiniAdapter, "load", counted)
    search_models([world.Article, world.Comment], "loop", limit=20)
    assert sorted(model.__name__ for model in loads) == ["Article", "Comment"]


def test_rows_that_are_gone_are_skipped_and_the_limit_is_filled(world: World) -> None:
    world.db.run("DROP TRIGGER IF EXISTS none")
    with world.Comment.search.pause(), world.Article.search.pause():
        world.db.run("DELETE FROM comment WHERE id < 5")
        found = search_models([world.Article, world.Comment], "loop", limit=6)
        assert sorted(named(found)) == [*(f"Article {id}" for id in range(1, 6)), "Comment 5"]


def test_total_facets_order_where_and_among_are_of_all_models(world: World) -> None:
    models = [world.Article, world.Comment]
    found = search_models(models, "loop", mode="text", total=True, facets=["year"], limit=1)
    assert (found.total, found.total_is_exact) == (10, True)
    assert list(found.facets["year"])[0] == (2020, 5)
    newest = search_models(models, "loop", order_by="-year", limit=2)
    assert named(newest) == ["Article 5", "Article 4"]
    some = search_models(models, "loop", where={"year": {"lte": 2021}}, limit=20)
    assert sorted(named(some)) == ["Article 1", *(f"Comment {id}" for id in range(1, 6))]
    among = {world.Article: [1, 2], world.Comment: [world.Comment(id=2)]}
    few = search_models(models, "loop", among=among, limit=20, total=True, mode="text")
    assert sorted(named(few)) == ["Article 1", "Article 2", "Comment 2"]
    assert few.total == 3
    nothing = {world.Article: [], world.Comment: []}
    assert not search_models(models, "loop", among=nothing)


def test_syntax_scores_ranking_and_passages_are_those_of_one_search(world: World) -> None:
    models = [world.Article, world.Comment]
    found = search_models(models, "loop year:2022", syntax="query", mode="text", limit=20)
    assert named(found) == ["Article 2"]
    # A field that only one of them has is a word.
    owner = search_models(models, "owner:bea loop", syntax="query", mode="text", limit=20)
    assert len(owner) == 10
    every = search_models(models, "loop 3", mode="text", limit=20)
    least = every[0].search_hit.score
    best = search_models(models, "loop 3", mode="text", limit=20, min_score=least)
    assert named(best) == [
        name for name, row in zip(named(every), every, strict=True) if row.search_hit.score >= least
    ]
    assert len(best) < len(every)
    plain = search_models(models, "loop", ranking={"steps": []}, limit=20)
    assert "feedback" not in plain[0].search_hit.parts
    assert len(search_models(models, "loop", passages="all", limit=20)) == 10
    world.Article.create(id=6, body="zebra stripes", year=2020, owner="ann")
    mistyped = search_models(models, "zebre", mode="text", typos="correct")
    assert named(mistyped) == ["Article 6"]


def test_what_is_refused(world: World, tmp_path: Path) -> None:
    models = [world.Article, world.Comment]
    with pytest.raises(FilterInvalid, match="owner"):
        search_models(models, "loop", where={"owner": "bea"})
    with pytest.raises(InputError, match="owner"):
        search_models(models, "loop", facets=["owner"])
    with pytest.raises(InputError, match="each of the models"):
        search_models(models, "loop", among={world.Article: [1]})
    with pytest.raises(ConfigError, match="each once"):
        search_models([world.Article, world.Article], "loop")
    with pytest.raises(ConfigError, match="no index that is bound"):
        search_models([world.Article, Model], "loop")
    for wrong in ([], "Article", world.Article):
        with pytest.raises(InputError, match="list of models"):
            search_models(wrong, "loop")
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as other:
        index = other.bind(
            world.Comment,
            adapter=MiniAdapter,
            adapter_options={"db": world.db},
            source_fields=["body"],
            collection="others",
        )
        with pytest.raises(ConfigError, match="one core"):
            search_models([world.Article, index], "loop")
        index.uninstall()


def test_an_index_may_stand_for_its_model(world: World) -> None:
    found = search_models([world.Article.search, world.Comment], "loop", limit=20)
    assert len(found) == 10


def test_a_row_that_cannot_be_read_hides_no_row_of_another_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = MiniAdapter.load

    def broken(self: Any, keys: Any) -> Any:
        for row in load(self, keys):
            if self.model is world.Comment and row.id == 2:
                raise ValueError("a comment that cannot be read")
            yield row

    monkeypatch.setattr(MiniAdapter, "load", broken)
    found = search_models([world.Article, world.Comment], "loop", limit=20)
    assert "Article 2" in named(found) and "Comment 2" not in named(found)
    assert found.degraded and "1 row found cannot be read" in found.reason


def test_tenants_stay_apart(tmp_path: Path, forgotten: None) -> None:
    with SemanticCore(
        store="memory", embedder=HashEmbedder(), plugins=[], multi_tenant=True
    ) as core:
        world = World(tmp_path, core, tenant="owner")
        models = [world.Article, world.Comment]
        found = search_models(
            models, "loop", tenant="ann", limit=20, total=True, facets=["year"], mode="text"
        )
        assert {type(row) for row in found} == {world.Article}
        assert found.total == 5
        assert 2020 not in {value for value, _ in found.facets["year"]}
        among = {world.Article: [1], world.Comment: [1, 2]}
        assert named(search_models(models, "loop", tenant="bea", among=among, mode="text")) == [
            "Comment 1",
            "Comment 2",
        ]
        with pytest.raises(TenantRequired):
            search_models(models, "loop")
