"""SQLModel through the SQLAlchemy blueprint: its classes are pydantic models,
and so is every row.
"""

# No `from __future__ import annotations`: SQLModel reads the annotations of relationships as they
# stand.

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alchemy_harness import SQLAlchemyHarness
from pydantic import BaseModel
from sqlalchemy import Engine, MetaData, create_engine
from sqlalchemy_adapter import SemanticIndex, init_database
from sqlmodel import Field, Relationship, Session, SQLModel
from sqlmodel_models import MODELS, Base

from semantic_core import SemanticCore
from semantic_core.testing import Capability, Check, HashEmbedder, Limit, adapter_checks

TREES = 3
"""Random trees of transactions; the SQLAlchemy models play more."""
LIMITS = {
    Capability.INHERITANCE: Limit(
        "SQLModel has no joined inheritance of its own.",
        "Use SQLAlchemy's declarative classes for such models.",
    )
}


class SQLModelHarness(SQLAlchemyHarness):
    """The kit's tables as SQLModel's classes."""

    models = MODELS
    metadata = Base.metadata

    def __init__(self, keep: Any) -> None:
        super().__init__(keep)
        self.limits = {**self.limits, **LIMITS}


# Other databases are SQLAlchemy's business, with whose classes `test_sqlalchemy_kit.py` meets them.
@pytest.mark.parametrize("check", adapter_checks(trees=TREES), ids=str)
def test_the_adapter_keeps_the_contract_for_sqlmodel(
    check: Check, keep: Callable[[str, Any], Any]
) -> None:
    check(lambda: SQLModelHarness(keep("sqlite3", SQLModelHarness)))


class Shop(SQLModel):
    """Of the models below."""

    metadata = MetaData()


class Maker(Shop, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


class Tool(Shop, table=True):
    id: int | None = Field(default=None, primary_key=True)
    title: str
    maker_id: int | None = Field(default=None, foreign_key="maker.id")
    maker: Maker | None = Relationship()

    search = SemanticIndex(
        ["title", "maker.name", lambda tool: tool.maker], metadata_fields=["maker", "maker.name"]
    )


@pytest.fixture
def shop(tmp_path: Any) -> Iterator[Engine]:
    """An engine with a tool in it, and the index bound."""
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    Shop.metadata.create_all(engine)
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        (index,) = init_database(engine, core, base=Shop)
        with Session(engine) as session:
            session.add(Tool(title="Loom", maker=Maker(name="Ann")))
            session.commit()
        yield engine
        index.uninstall()
    engine.dispose()


def test_an_index_is_declared_as_on_any_other_model(shop: Engine) -> None:
    assert "search" not in Tool.model_fields and "search" not in Tool.__table__.columns
    assert [tool.title for tool in Tool.search("loom")] == ["Loom"]
    assert Tool.search.status().last_error == ""


def test_a_related_row_is_one_thing_though_it_can_be_iterated_over(shop: Engine) -> None:
    assert sorted(name for name, _ in Maker(name="Bea")) == ["id", "name"]
    (hit,) = Tool.search("Ann").hits
    assert dict(hit.metadata) == {"maker": 1, "maker.name": "Ann"}


def test_a_found_row_has_its_hit_and_is_otherwise_the_same(shop: Engine) -> None:
    (tool,) = Tool.search("loom")
    assert tool.search_hit.title == "Loom"
    assert tool.model_dump() == {"id": 1, "title": "Loom", "maker_id": 1}
    with Session(shop) as session:
        again = session.merge(tool, load=False)
        again.title = "Spindle"
        session.commit()
    assert [row.title for row in Tool.search("spindle")] == ["Spindle"]


def test_a_pydantic_model_that_is_no_table_may_have_one_too() -> None:
    """A base of tables, for instance: the index is inherited."""

    class Named(SQLModel):
        title: str
        search = SemanticIndex(["title"])

    class Part(Named, table=True):
        metadata = MetaData()
        id: int | None = Field(default=None, primary_key=True)

    assert "search" not in Part.model_fields
    assert any(model is Part for model, index in SemanticIndex.declared())


class Price(BaseModel):
    """A value of pydantic's that is no row: iterable over its fields."""

    amount: int
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def test_a_value_of_pydantic_is_one_value_in_every_field(shop: Engine) -> None:
    priced = Tool.search.declaration.read(
        Tool(title="Loom"), lambda tool: Price(amount=3, currency="EUR")
    )
    assert list(map(str, priced)) == ["3 EUR"]
    several = [Price(amount=1, currency="EUR"), Price(amount=2, currency="EUR")]
    assert Tool.search.declaration.read(Tool(title="Loom"), lambda tool: several) == several
