"""A project of Django's own making, with the files of the blueprints' README typed in: what a newcomer sees."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "adapters_blueprints" / "README.md"
FILES = dict(re.findall(r"```python file=(\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
MAKE = (
    "from blog.models import Article; from django.contrib.auth.models import User; "
    "Article.objects.create(title='Tax guide', content='How to file your income tax return', "
    "author=User.objects.create(username='ann'))"
)
LOOK = (
    "from blog.models import Article; "
    "print([row.title for row in Article.search('income', mode='text')], "
    "[row.title for row in Article.search('repeat', mode='text')], Article.search.verify().sound)"
)

Run = Callable[..., str]


class Project:
    """``startproject`` and ``startapp``, and the blueprint. Every program of it gets an embedder of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run("-m", "django", "startproject", "site1", ".")
        self.run("manage.py", "startapp", "blog")
        (folder / "django_adapter.py").write_text((ROOT / "adapters_blueprints" / "django_adapter.py").read_text())
        for name, text in FILES.items():
            if name.startswith("blog/"):
                self.write(name, text)
        settings = (folder / "site1" / "settings.py").read_text()
        app = "'blog.apps.BlogConfig',"
        self.write(
            "site1/settings.py",
            settings.replace("INSTALLED_APPS = [", f"INSTALLED_APPS = [{app}", 1),
        )
        self.run("manage.py", "makemigrations", "blog")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a program says on both channels."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("DJANGO", "PYTEST"))}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def shell(self, code: str) -> str:
        """The last line a piece of code prints."""
        lines = self.run("manage.py", "shell", "-v0", "-c", code).strip().splitlines()
        return lines[-1] if lines else ""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose database is migrated, with one article."""
    made = Project(tmp_path_factory.mktemp("project"))
    said = made.run("manage.py", "migrate")
    assert "Traceback" not in said
    assert "could not be worked off" not in said
    assert len(said.splitlines()) < 40, said
    made.shell(MAKE)
    return made


FOUND = "['Tax guide'] [] True"


def test_a_first_migration_prints_what_django_prints_and_the_first_row_is_found(
    project: Project,
) -> None:
    assert project.shell(LOOK) == FOUND


def test_the_tests_of_the_page_pass_and_leave_the_index_of_the_project_alone(
    project: Project,
) -> None:
    project.write("blog/tests.py", FILES["blog/tests.py"])
    said = project.run("manage.py", "test")
    assert re.search(r"Ran \d+ tests", said)
    assert "Traceback" not in said
    assert project.shell(LOOK) == FOUND


TESTS = """
from blog.models import Article
from django.test import TestCase, TransactionTestCase


def titles(words):
    return sorted(row.title for row in Article.search(words, mode="text"))


class InTransactions(TestCase):
    @classmethod
    def setUpTestData(cls):
        Article.objects.create(title="Shared", content="walrus")

    def test_a(self):
        Article.objects.create(title="A", content="walrus")
        self.assertEqual(titles("walrus"), ["A", "Shared"])
        Article.objects.filter(title="A").update(content="otter")
        self.assertEqual((titles("walrus"), titles("otter")), (["Shared"], ["A"]))

    def test_b(self):
        Article.objects.create(title="B", content="otter")
        self.assertEqual((titles("walrus"), titles("otter")), (["Shared"], ["B"]))
        self.assertTrue(Article.search.verify().sound)


class Committed(TransactionTestCase):
    def test_c(self):
        self.assertEqual(titles("walrus"), [])
        Article.objects.create(title="C", content="walrus")
        self.assertEqual(titles("walrus"), ["C"])

    def test_d(self):
        self.assertEqual(titles("walrus"), [])
        Article.objects.create(title="D", content="otter")
        self.assertEqual(titles("otter"), ["D"])
        self.assertTrue(Article.search.verify().sound)
"""


@pytest.mark.parametrize("options", [(), ("--parallel=2",), ("--keepdb",)], ids=["plain", "parallel", "keepdb"])
def test_each_test_case_sees_an_index_that_agrees_with_its_rows(project: Project, options: tuple[str, ...]) -> None:
    project.write("blog/tests.py", TESTS)
    said = project.run("manage.py", "test", *options)
    assert "Ran 4 tests" in said
    assert "Traceback" not in said
    assert project.shell(LOOK) == FOUND
