"""Rows of models: a hit leads to its row, and what a row does not say any more is not shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.rows import Rows, SourceRow
from semantic_core_mcp.tools import NO_DOCUMENT, NO_PASSAGE, Tools

from semantic_core import Ref, SemanticCore
from semantic_core.cli import searchable
from semantic_core.errors import ConfigError
from semantic_core.orm import SemanticIndex
from semantic_core.permissions import Permissions
from semantic_core.testing import HashEmbedder


class Shop:
    """An application with a model, and its index."""

    def __init__(self, folder: Path) -> None:
        self.database = peewee.SqliteDatabase(folder / "shop.db")

        class Base(peewee.Model):
            class Meta:
                database = self.database

        class Article(Base):
            title = peewee.CharField()
            body = peewee.TextField()
            password = peewee.CharField(default="hunter2")
            reader = peewee.CharField(default="ann")

        self.article = Article
        self.database.create_tables([Article])
        self.core = SemanticCore(
            path=folder / "shop.semantic.db",
            embedder=HashEmbedder(),
            plugins=["*", Permissions("reader", who="user")],
        )
        self.adapter = self.core.bind(
            Article,
            source_fields=["title", "body"],
            title_field="title",
            metadata_fields=["reader"],
            sync="manual",
        )

    def tools(self, user: str = "ann", **more: Any) -> Tools:
        index = VisibleIndex(
            self.core,
            context={"user": user},
            collections=["article"],
            rows=Rows([self.adapter]),
            shown=["reader"],
            **more,
        )
        return Tools(index)


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    declared = list(SemanticIndex._declared)
    made = Shop(folder)
    made.article.create(title="Beans", body="Beans climb the wall.")
    made.article.create(title="Carrots", body="Carrots stay where they are sown.")
    made.article.create(title="Merger", body="The merger of beans.", reader="bob")
    made.core.sync()
    yield made
    made.core.close()
    made.database.close()
    SemanticIndex._declared[:] = declared


def keys(tools: Tools, query: str = "beans") -> list[str]:
    answer = tools.call("search", {"query": query, "mode": "text"})
    assert not answer.failed, answer.text
    return [hit["key"] for hit in answer.data["hits"]]


def get(tools: Tools, key: str) -> Any:
    return tools.call("get", {"collection": "article", "key": key})


def test_a_hit_leads_to_its_row(shop: Shop) -> None:
    answer = shop.tools().call("search", {"query": "climb wall", "mode": "text"})
    (hit,) = answer.data["hits"]
    assert hit["row"] == {"model": "Article", "table": "article", "key": "1"}
    assert shop.article.get_by_id(hit["key"]).title == hit["title"] == "Beans"
    assert "   row 1 of Article, table article\n" in answer.text
    read = get(shop.tools(), "1")
    assert read.data["row"] == hit["row"]
    assert "Beans climb the wall." in read.data["text"]
    assert "hunter2" not in f"{read.text} {read.data}", "only what the index declares is read"
    listed = shop.tools().call("list_collections", {})
    assert listed.data["collections"] == [{"name": "article", "documents": 2, "model": "Article"}]


def test_each_user_finds_their_rows(shop: Shop) -> None:
    assert keys(shop.tools("ann")) == ["1"]
    assert keys(shop.tools("bob")) == ["3"]
    assert keys(shop.tools("eve")) == []
    assert get(shop.tools("ann"), "3").text == NO_DOCUMENT


def test_a_row_that_was_deleted_is_gone_before_the_index_has_followed(shop: Shop) -> None:
    shop.article.delete_by_id(1)
    assert shop.core.get(Ref("article", "1"), context={"user": "ann"}) is not None
    tools = shop.tools()
    assert keys(tools) == []
    assert get(tools, "1").text == NO_DOCUMENT
    around = {"collection": "article", "key": "1", "position": 0}
    assert tools.call("context", around).text == NO_PASSAGE
    listed, _ = tools._index.documents(0, 50)
    assert [summary.ref.key for summary in listed] == ["2"]


def test_a_row_that_got_another_reader_is_shown_to_neither_until_the_index_has_followed(
    shop: Shop,
) -> None:
    shop.article.update(reader="bob").where(shop.article.id == 1).execute()
    assert keys(shop.tools("ann")) == []
    assert get(shop.tools("ann"), "1").text == NO_DOCUMENT
    assert keys(shop.tools("bob")) == ["3"]
    shop.core.sync()
    assert keys(shop.tools("bob")) == ["1", "3"]
    assert keys(shop.tools("ann")) == []


def test_what_a_row_does_not_say_any_more_is_not_shown(shop: Shop) -> None:
    shop.article.update(body="Nothing to see.").where(shop.article.id == 1).execute()
    tools = shop.tools()
    assert keys(tools, "climb") == []
    around = {"collection": "article", "key": "1", "position": 0}
    assert tools.call("context", around).text == NO_PASSAGE
    assert "Nothing to see." in get(tools, "1").data["text"], "a document is read from its row"


def test_hits_behind_rows_that_are_gone_fill_the_limit(shop: Shop) -> None:
    for number in range(30):
        shop.article.create(title=f"Note {number}", body="beans " * (30 - number))
    shop.core.sync()
    shop.article.delete().where(shop.article.id <= 20).execute()
    answer = shop.tools().call("search", {"query": "beans", "limit": 5})
    assert len(answer.data["hits"]) == 5
    assert {int(hit["key"]) for hit in answer.data["hits"]} <= set(range(21, 34))
    assert answer.data["next_offset"] == 5


def test_only_indexes_that_other_processes_find_are_served(shop: Shop) -> None:
    assert searchable(shop.core) == [shop.adapter]
    with pytest.raises(ConfigError, match="There is no index 'mails'"):
        searchable(shop.core, ("mails",))
    shop.article.drop_table()
    with pytest.raises(ConfigError, match="The table 'article' of Article does not exist"):
        searchable(shop.core)


def test_a_document_without_a_row_has_none() -> None:
    rows = Rows()
    ref = Ref("notes", "1")
    assert rows.row_of(ref) is None
    assert rows.agrees(ref, {}, rows.current([ref]), "anything")
    assert SourceRow("Article", "article", "1").key == "1"
