"""FastAPI: articles in Peewee, searched from async handlers. Run it: uvicorn fastapi_app:app"""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from peewee import AutoField, Model, TextField
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import SemanticIndex, init_database

from semantic_core import AsyncSemanticCore, SemanticCore

db = APSWDatabase(None)


class Article(Model):
    id = AutoField()
    title = TextField()
    content = TextField()

    search = SemanticIndex(["title", "content"])

    class Meta:
        database = db


@asynccontextmanager
async def lifespan(app: FastAPI):
    db.init(os.environ.get("APP_DB", "app.db"), pragmas={"journal_mode": "wal"})
    core = SemanticCore.from_config(path=os.environ.get("APP_INDEX", "app.semantic.db"))
    # One core for the process, closed at the end.
    async with AsyncSemanticCore(core) as app.state.core:

        def start():
            with db.connection_context():
                db.create_tables([Article])
                init_database(db, core)

        await app.state.core.call(start, writes=True)
        yield


app = FastAPI(lifespan=lifespan)


def save(title: str, content: str) -> int:
    with db.connection_context(), db.atomic():
        return Article.create(title=title, content=content).id


def find(query: str) -> list[dict[str, object]]:
    with db.connection_context():
        found = Article.search(query, limit=5)
        return [{"id": row.id, "title": row.title, "score": row.search_hit.score} for row in found]


@app.post("/articles")
async def create(request: Request, title: str, content: str):
    return {"id": await request.app.state.core.call(lambda: save(title, content), writes=True)}


@app.get("/search")
async def search(request: Request, q: str):
    return await request.app.state.core.call(lambda: find(q))
