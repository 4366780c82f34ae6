"""An application with models, of which several processes run: they share database and index.

python shared_app.py DSN SCHEMA NAME
"""

from __future__ import annotations

import json
import sys
from urllib.parse import urlsplit

from peewee import CharField, Model, PostgresqlDatabase, TextField, fn
from semantic_core_peewee import SemanticIndex, init_database
from semantic_core_postgres import open_postgres

from semantic_core import SemanticCore
from semantic_core.testing import HashEmbedder

ROWS = 30


def main(dsn: str, schema: str, name: str) -> None:
    """Write rows and process changes as the process of this name; "" only compares."""
    server = urlsplit(dsn)
    database = PostgresqlDatabase(
        server.path.strip("/"),
        user=server.username,
        host=server.hostname,
        port=server.port,
        options=f"-c search_path={schema}_app",
    )

    class Note(Model):
        author = CharField()
        body = TextField()
        search = SemanticIndex(["body"])

        class Meta:
            database = None

    Note._meta.set_database(database)
    embedder = HashEmbedder()
    store = open_postgres(embedder.space, dsn=dsn, schema=schema)
    with SemanticCore(store=store, embedder=embedder) as core:
        database.execute_sql(f"create schema if not exists {schema}_app")
        database.create_tables([Note])
        init_database(database, core)
        for number in range(ROWS if name else 0):
            Note.create(author=name, body=f"note {number} of {name}")
            if number % 3 == 0:
                changed = Note.update(body=f"changed by {name}")
                changed.where(Note.author == name, fn.MOD(Note.id, 4) == 1).execute()
            if number % 5 == 0:
                Note.delete().where(Note.author == name, fn.MOD(Note.id, 7) == 3).execute()
        core.sync()
        report = Note.search.verify()
        answer = {
            "rows": Note.select().count(),
            "documents": core.stats().documents,
            "differences": report.missing + report.stale + report.ghosts + report.failed,
            "pending": report.waiting,
        }
    sys.stdout.write(f"{json.dumps(answer)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
