"""The application of random histories in SQLAlchemy."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from alchemy_engines import engine_of
from sqlalchemy import Text, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy_adapter import SQLAlchemyAdapter

from semantic_core import SemanticCore

sys.path.insert(0, str(Path(__file__).parents[1] / "orm"))
import databases
from history_world import Application


class Base(DeclarativeBase):
    """Of the one model."""


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str] = mapped_column(Text)
    tag: Mapped[str] = mapped_column(Text, default="")


class SQLAlchemyApplication(Application):
    """SQLAlchemy, with an engine of its own in each process."""

    def open(self, database: databases.Database, core: SemanticCore) -> Any:
        self.engine = engine_of(databases, database)
        Base.metadata.create_all(self.engine)
        options = {"engine": self.engine}
        declared = {"source_fields": ["body"], "sync": "manual"}
        return core.bind(
            Note, adapter=SQLAlchemyAdapter, adapter_options=options, install=False, **declared
        )

    def close(self) -> None:
        self.engine.dispose()

    def save(self, id: int, body: str) -> None:
        with Session(self.engine) as session, session.begin():
            row = session.get(Note, id)
            if row is None:
                session.add(Note(id=id, body=body))
            else:
                row.body = body

    def delete(self, id: int) -> None:
        self._execute(delete(Note).where(Note.id == id))

    def save_many(self, bodies: Mapping[int, str]) -> None:
        dialect: Any = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(Note).values(
            [{"id": id, "body": body} for id, body in bodies.items()]
        )
        self._execute(
            insert.on_conflict_do_update(index_elements=["id"], set_={"body": insert.excluded.body})
        )

    def run(self, sql: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(sql))

    def tag(self, id: int, text: str) -> None:
        self._execute(update(Note).where(Note.id == id).values(tag=text))

    def roll_back(self, body: str) -> None:
        with suppress(ZeroDivisionError), Session(self.engine) as session, session.begin():
            session.execute(update(Note).values(body=body))
            _ = 1 // 0

    def rows(self) -> dict[str, str]:
        with Session(self.engine) as session:
            return {str(note.id): note.body for note in session.scalars(select(Note))}

    def _execute(self, statement: Any) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(statement)
