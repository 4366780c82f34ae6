"""An adapter of some fifty lines indexes what is committed, and nothing that is rolled back."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any

import alchemy_models
import pytest
from blueprint_helpers import held
from django.db import transaction
from django_site import models as django_models
from minimal_adapters import MinimalDjangoAdapter, MinimalSQLAlchemyAdapter
from sqlalchemy import Engine, delete, update
from sqlalchemy.orm import Session

from semantic_core import SemanticCore
from semantic_core.testing import HashEmbedder

MOST_LINES = 50
"""Lines of code that an author has to write, without docstrings and blank lines."""
DECLARATION: dict[str, Any] = {
    "source_fields": ["content", "author.name"],
    "metadata_fields": ["author"],
    "sync": "inline",
}


@pytest.fixture
def core() -> Iterator[SemanticCore]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        yield core


@pytest.mark.parametrize("adapter", [MinimalDjangoAdapter, MinimalSQLAlchemyAdapter])
def test_fifty_lines_are_enough(adapter: type) -> None:
    (tree,) = ast.parse(inspect.getsource(adapter)).body
    assert isinstance(tree, ast.ClassDef)
    tree.body = tree.body[1:]  # the docstring
    assert len(ast.unparse(tree).split("\n")) - ast.unparse(tree).count("\n\n") <= MOST_LINES


def test_a_minimal_django_adapter_follows_rows_and_related_rows(
    alias: str, core: SemanticCore
) -> None:
    article = django_models.Article
    author = django_models.Author
    index = core.bind(
        article, adapter=MinimalDjangoAdapter, adapter_options={"using": alias}, **DECLARATION
    )
    try:
        ann = author.objects.create(id=1, name="Ann")
        article.objects.create(id=1, content="about tides", author=ann)
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            article.objects.create(id=2, content="never there")
            raise ZeroDivisionError
        assert held(index) == {"1": "about tides\n\nAnn"}
        author.objects.filter(id=1).update(name="Bea")
        article.objects.bulk_create([article(id=3, content="in bulk")])
        assert [row.id for row in index("tides", where={"author": 1}, fresh=True)] == [1]
        assert held(index) == {"1": "about tides\n\nBea", "3": "in bulk"}
        article.objects.all().delete()
        assert held(index) == {}
        assert index.verify().sound
    finally:
        index.uninstall()


def test_a_minimal_sqlalchemy_adapter_follows_rows_and_related_rows(
    engine: Engine, core: SemanticCore
) -> None:
    article = alchemy_models.Article
    author = alchemy_models.Author
    index = core.bind(
        article, adapter=MinimalSQLAlchemyAdapter, adapter_options={"engine": engine}, **DECLARATION
    )
    try:
        with Session(engine) as session:
            ann = author(id=1, name="Ann")
            session.add(article(id=1, content="about tides", author=ann))
            session.commit()
            session.add(article(id=2, content="never there"))
            session.flush()
            session.rollback()
        assert held(index) == {"1": "about tides\n\nAnn"}
        with Session(engine) as session, session.begin():
            session.execute(update(author).values(name="Bea"))
        assert held(index) == {"1": "about tides\n\nBea"}
        assert [row.id for row in index("tides", where={"author": 1})] == [1]
        with Session(engine) as session, session.begin():
            session.execute(delete(article))
        assert held(index) == {}
        assert index.verify().sound
    finally:
        index.uninstall()
