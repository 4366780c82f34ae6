"""Binds an index to every model of a Flask-SQLAlchemy application that has text,
as soon as its tables are made.
"""

from __future__ import annotations

from typing import Any

from flask_sqlalchemy import SQLAlchemy
from outside_index import Counts, new_core
from sqlalchemy import String, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy_adapter import SQLAlchemyAdapter

from semantic_core import SemanticCore
from semantic_core.errors import SemanticCoreError


def bind(counts: Counts) -> None:
    """From here on the models of every application that makes its tables are bound to an
    index of its own.
    """
    made, dropped = SQLAlchemy.create_all, SQLAlchemy.drop_all
    cores: dict[int, SemanticCore] = {}

    def create_all(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        engine = self.engine
        core = cores[id(engine)] = new_core(counts)
        for mapper in sorted(
            self.Model.registry.mappers, key=lambda mapper: mapper.class_.__name__
        ):
            _bind(mapper.class_, core, engine, counts)

    def drop_all(self: Any, *args: Any, **options: Any) -> None:
        core = cores.pop(id(self.engine), None)
        if core is not None:
            core.close()
        dropped(self, *args, **options)

    SQLAlchemy.create_all, SQLAlchemy.drop_all = create_all, drop_all


def _bind(model: type, core: SemanticCore, engine: Any, counts: Counts) -> None:
    text = [
        each.key for each in inspect(model).column_attrs if isinstance(each.columns[0].type, String)
    ]
    if not text:
        return
    try:
        adapter = core.bind(
            model,
            install=False,
            adapter=SQLAlchemyAdapter,
            adapter_options={"engine": engine},
            source_fields=text,
            sync="inline",
        )
        adapter.install(backfill="now")
        counts.bound(model)
    except (SemanticCoreError, SQLAlchemyError) as error:
        counts.not_bound(model, error)
