"""A Wagtail site: its own tests, see `site/home/tests.py`; and programs that share its index."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import programs
import pytest
from shared import made_once

pytestmark = pytest.mark.slow
SITE = programs.HERE / "site"
MAKE = """
from home.models import BlogPage
from wagtail.models import Page
home = Page.objects.get(depth=2)
home.add_child(instance=BlogPage(title="Sourdough", body=[("paragraph", "<p>flour</p>")]))
print([page.title for page in Page.objects.search("flour", backend="words")])
"""
LOOK = """
import django; django.setup()
from wagtail.models import Page
for query in ("flour", "levain", "sourdough"):
    print(query, [page.title for page in Page.objects.search(query, backend="words")])
print([page.title for page in Page.objects.search("baking bread")][0])
print([page.title for page in Page.objects.autocomplete("lev")])
"""

MIGRATE = """
import django; django.setup()
from django.core.management import call_command
call_command("makemigrations", "home", verbosity=0)
call_command("migrate", verbosity=0)
"""
PARTS = """
import django; django.setup()
from semantic_core_wagtail import backend
from semantic_core_wagtail.apps import check_settings
from semantic_core_wagtail.management import commands
from semantic_core_wagtail.management.commands.semantic_core import Command
from wagtail.search.backends import get_search_backend
print(type(get_search_backend()) is backend.SemanticSearchBackend)
print(check_settings(None), commands.__name__, Command.help[:5])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site with the migration of its app, and with the database after
    `manage.py migrate`, which takes seconds; one test works here. What the database was is in
    migrated.sqlite3.
    """
    programs.need_wagtail()

    def make(folder: Path) -> None:
        (folder / "home_migrations").mkdir()
        (folder / "home_migrations" / "__init__.py").touch()
        manage(folder, "-c", MIGRATE)
        shutil.copy(folder / "db.sqlite3", folder / "migrated.sqlite3")

    return made_once(tmp_path_factory, "wagtail-site", make)


def manage(folder: Path, *arguments: str) -> str:
    variables = {"SITE_FOLDER": str(folder)}
    return programs.run(folder, SITE, "site_settings", *(_start(arguments)), **variables)


def _start(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return arguments if arguments[0] == "-c" else ("-m", "django", *arguments)


def test_the_tests_of_the_site_pass(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site / "home_migrations", tmp_path / "home_migrations")
    shutil.copy(site / "migrated.sqlite3", tmp_path / "test.sqlite3")
    said = manage(tmp_path, "test", "--keepdb", "home")
    counted = re.search(r"Ran (\d+) tests", said)
    assert counted is not None and int(counted[1]) >= 30, said


def test_a_site_is_migrated_written_and_searched_by_several_programs(site: Path) -> None:
    assert manage(site, "-c", PARTS + MAKE).splitlines() == [
        "True",
        "[] semantic_core_wagtail.management.commands Looks",
        "['Sourdough']",
    ]
    with sqlite3.connect(site / "db.sqlite3") as database:
        database.execute("UPDATE wagtailcore_page SET title = 'Levain' WHERE title = 'Sourdough'")
    database.close()
    assert "wagtailcore.page: 1 waiting" in manage(site, "semantic_core", "status")
    assert manage(site, "-c", LOOK).splitlines() == [
        "flour ['Levain']",
        "levain ['Levain']",
        "sourdough []",
        "Levain",
        "['Levain']",
    ]
    assert "all as in the index" in manage(site, "semantic_core", "verify")
    (site / "semantic-core.db").unlink()
    manage(site, "update_index", "-v0")
    assert "flour ['Levain']" in manage(site, "-c", LOOK)
