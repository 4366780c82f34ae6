"""No silent difference, with the blueprints: see the histories of the plugin for Peewee."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from alchemy_histories import SQLAlchemyApplication
from django_histories import DjangoApplication

sys.path.insert(0, str(Path(__file__).parents[1] / "orm"))
from history_world import Application, play

KINDS = ("sqlite3", "postgresql")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("application", [SQLAlchemyApplication, DjangoApplication])
def test_no_history_ends_in_a_silent_difference(kind: str, application: type[Application]) -> None:
    play(kind, application, 40)
