"""Flask-SQLAlchemy through the SQLAlchemy blueprint: an application factory, the session of a
request, and two databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy_adapter import SemanticIndex, init_database

from semantic_core import SemanticCore
from semantic_core.errors import InputError
from semantic_core.testing import HashEmbedder


class Base(DeclarativeBase):
    """Of these models."""


db = SQLAlchemy(model_class=Base)


class Main(db.Model):  # type: ignore[name-defined, misc]
    """Models of the main database."""

    __abstract__ = True


class Archive(db.Model):  # type: ignore[name-defined, misc]
    """Models of the other one."""

    __abstract__ = True
    __bind_key__ = "archive"


class Author(Main):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Post(Main):
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship()

    search = SemanticIndex(["title", "author.name"], metadata_fields=["author"], sync="inline")


class Record(Archive):
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]

    search = SemanticIndex(["title"], sync="inline")


def create_app(folder: Path, core: SemanticCore) -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/main.db"
    app.config["SQLALCHEMY_BINDS"] = {"archive": f"sqlite:///{folder}/archive.db"}
    db.init_app(app)

    @app.post("/posts")
    def create() -> Any:
        author = db.session.scalar(select(Author).where(Author.name == request.json["author"]))
        author = author or Author(name=request.json["author"])
        post = Post(title=request.json["title"], author=author)
        db.session.add(post)
        db.session.flush()
        if request.json.get("fails"):
            raise InputError("refused")
        db.session.commit()
        return {"id": post.id}

    @app.get("/search")
    def search() -> Any:
        found = Post.search(request.args["q"], mode="text")
        rows = [db.session.merge(row, load=False) for row in found]
        return [[row.title, row.author.name] for row in rows]

    @app.errorhandler(InputError)
    def refused(error: InputError) -> Any:
        return {"detail": str(error)}, 422

    with app.app_context():
        db.create_all()
        init_database(db.engine, core, base=Main)
        init_database(db.engines["archive"], core, base=Archive)
    return app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        app = create_app(tmp_path, core)
        yield app
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


def test_the_session_of_a_request_is_indexed_when_it_commits(app: Flask) -> None:
    client = app.test_client()
    assert client.post("/posts", json={"title": "Loom", "author": "Ann"}).json == {"id": 1}
    assert client.get("/search?q=ann").json == [["Loom", "Ann"]]
    with app.app_context():
        db.session.execute(update(Author).values(name="Bea"))
        db.session.commit()
    assert client.get("/search?q=bea").json == [["Loom", "Bea"]]


def test_a_request_that_fails_leaves_nothing_in_the_index(app: Flask) -> None:
    client = app.test_client()
    sent = {"title": "Ghost", "author": "Ann", "fails": True}
    assert client.post("/posts", json=sent).status_code == 422
    assert client.get("/search?q=ghost").json == []
    assert client.post("/posts", json={"title": "Loom", "author": "Ann"}).json == {"id": 1}
    assert client.get("/search?q=loom").json == [["Loom", "Ann"]]
    assert Post.search.verify().sound


def test_two_binds_are_two_databases_with_an_index_each(app: Flask) -> None:
    with app.app_context():
        db.session.add_all([Post(title="Loom"), Record(title="Loom of the past")])
        db.session.commit()
        assert [row.title for row in Post.search("loom")] == ["Loom"]
        assert [row.title for row in Record.search("loom")] == ["Loom of the past"]
        assert Post.search.database is db.engine
        assert Record.search.database is db.engines["archive"]
        db.session.delete(db.session.get(Record, 1))
        db.session.commit()
        assert list(Record.search("loom")) == [] and len(Post.search("loom")) == 1


def test_a_factory_may_be_called_again_with_another_core(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        second = create_app(tmp_path / "second", core)
        client = second.test_client()
        assert client.post("/posts", json={"title": "Spindle", "author": "Cem"}).json == {"id": 1}
        assert client.get("/search?q=spindle").json == [["Spindle", "Cem"]]
        assert client.get("/search?q=loom").json == []
        with second.app_context():
            for engine in db.engines.values():
                engine.dispose()
