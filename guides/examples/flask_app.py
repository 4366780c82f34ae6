"""Flask: handlers run in threads already, so the index is called directly.

Run it: flask --app flask_app run
"""

import os

from flask import Flask, jsonify, request
from peewee import AutoField, Model, TextField
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import SemanticIndex, init_database

from semantic_core import SemanticCore

db = APSWDatabase(None)


class Article(Model):
    id = AutoField()
    title = TextField()
    content = TextField()

    search = SemanticIndex(["title", "content"])

    class Meta:
        database = db


def create_app() -> Flask:
    app = Flask(__name__)
    db.init(os.environ.get("APP_DB", "app.db"), pragmas={"journal_mode": "wal"})
    # One for the process.
    app.core = SemanticCore.from_config(path=os.environ.get("APP_INDEX", "app.semantic.db"))
    with db.connection_context():
        db.create_tables([Article])
        init_database(db, app.core)

    @app.before_request
    def connect() -> None:
        db.connect(reuse_if_open=True)

    @app.teardown_request
    def disconnect(error: BaseException | None) -> None:
        db.close()

    @app.post("/articles")
    def create():
        with db.atomic():
            row = Article.create(title=request.args["title"], content=request.args["content"])
        return jsonify(id=row.id)

    @app.get("/search")
    def search():
        found = Article.search(request.args["q"], limit=5)
        return jsonify(
            [{"id": row.id, "title": row.title, "score": row.search_hit.score} for row in found]
        )

    return app
