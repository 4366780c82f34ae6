"""A project of Django's own making, with the models and the app of the recipe:
what happens to its index in tests, migrations and without a model.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shared import made_once

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "guides" / "integrations" / "django.md"
FILES = dict(
    re.findall(r"```python file=(\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
)
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

pytestmark = pytest.mark.slow


class Project:
    """``startproject`` and ``startapp``, and the blueprint.

    Every program of it gets an embedder of the tests.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self) -> None:
        """Make it, with a first migration that was not run yet."""
        folder = self.folder
        self.run("-m", "django", "startproject", "site1", ".")
        self.run("manage.py", "startapp", "blog")
        (folder / "django_adapter.py").write_text(
            (ROOT / "adapters_blueprints" / "django_adapter.py").read_text()
        )
        for name in ("blog/models.py", "blog/apps.py"):
            self.write(name, FILES[name])
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
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DJANGO", "PYTEST"))
        }
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
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that has just begun."""
    return made_once(tmp_path_factory, "django-project", lambda folder: Project(folder).begin())


@pytest.fixture(scope="module")
def project(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose database is migrated, with one article."""
    made = Project(shutil.copytree(begun, tmp_path_factory.mktemp("project") / "django"))
    said = made.run("manage.py", "migrate")
    assert "Traceback" not in said
    assert "could not process pending changes" not in said
    assert len(said.splitlines()) < 40, said
    made.shell(MAKE)
    return made


FOUND = "['Tax guide'] [] True"


def test_a_first_migration_prints_what_django_prints_and_the_first_row_is_found(
    project: Project,
) -> None:
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


@pytest.mark.parametrize(
    "options", [(), ("--parallel=2",), ("--keepdb",)], ids=["plain", "parallel", "keepdb"]
)
def test_each_test_case_sees_an_index_that_agrees_with_its_rows(
    project: Project, options: tuple[str, ...]
) -> None:
    project.write("blog/tests.py", TESTS)
    said = project.run("manage.py", "test", *options)
    assert "Ran 4 tests" in said
    assert "Traceback" not in said
    assert project.shell(LOOK) == FOUND


def test_what_the_last_index_of_a_project_left_is_seen_and_removed_by_commands(
    begun: Path, tmp_path: Path
) -> None:
    project = Project(shutil.copytree(begun, tmp_path / "django"))
    project.run("manage.py", "migrate")
    project.shell(MAKE)
    page = (ROOT / "guides" / "cli.md").read_text(encoding="utf-8")
    module = re.search(r"```py\n(import os\n.*?)```", page, re.DOTALL)
    assert module is not None
    project.write("site1/search.py", module[1].replace("mysite", "site1"))
    models = re.sub(
        r"    search = SemanticIndex\(.*?\n    \)\n", "", FILES["blog/models.py"], flags=re.S
    )
    project.write("blog/models.py", re.sub(r"    search = .*\n", "", models))

    def run(*arguments: str, code: int = 0) -> str:
        command = ("-m", "semantic_core.cli", *arguments, "--app", "site1.search:core")
        return " ".join(project.run(*command, code=code).split())

    said = run("outbox", "status", code=1)
    assert "No model of this application has an index." in said
    assert "left of blog_article, which no model declares" in said
    assert "semantic-core outbox status" in run("worker", "--once", code=2)
    assert "1 document of blog_article" in run("outbox", "forget", "blog_article", "--yes")
    assert "left of" not in run("outbox", "status")


def test_models_are_renamed_changed_and_deleted_and_nothing_is_left(
    begun: Path, tmp_path: Path
) -> None:
    """Each by a migration Django wrote itself; triggers come back,
    and an index that is no more leaves nothing.
    """
    project = Project(shutil.copytree(begun, tmp_path / "django"))
    project.run("manage.py", "migrate")
    project.shell(MAKE)
    models = FILES["blog/models.py"]
    second = (
        "\n\nclass Memo(models.Model):\n    body = models.TextField()\n"
        "    search = SemanticIndex(['body'])\n"
    )
    changes = {
        "add": models.replace(
            "    author =", "    lang = models.CharField(max_length=5, default='en')\n    author ="
        )
        + second,
        "rename": models.replace("class Article", "class Essay")
        .replace("content =", "text =")
        .replace('"content"', '"text"')
        + second,
        "delete": models.replace("class Article", "class Essay")
        .replace("content =", "text =")
        .replace('"content"', '"text"'),
    }
    answers = "from blog.models import *; print("
    project.write("blog/models.py", changes["add"])
    project.run("manage.py", "makemigrations", "blog")
    assert "Traceback" not in project.run("manage.py", "migrate")
    project.shell("from blog.models import Memo; Memo.objects.create(body='walrus')")
    assert (
        project.shell(answers + "len(Article.search('income')), len(Memo.search('walrus')))")
        == "1 1"
    )
    project.write("blog/models.py", changes["rename"])
    project.write(
        "blog/migrations/0003_rename.py",
        "from django.db import migrations\nclass Migration(migrations.Migration):\n"
        "    dependencies = [('blog', '0002_memo_article_lang')]\n"
        "    operations = [migrations.RenameModel('Article', 'Essay'), "
        "migrations.RenameField('Essay', 'content', 'text'),\n"
        "                  migrations.RemoveField('Essay', 'lang')]\n",
    )
    assert "Traceback" not in project.run("manage.py", "migrate")
    look = (
        "[row.title for row in Essay.search('income', fresh=True)], Essay.search.verify().sound, "
        "sorted(Essay.search.core.stats().collections))"
    )
    project.shell("from blog.models import Essay; Essay.search.core.sync()")
    assert project.shell(answers + look) == "['Tax guide'] True ['blog_essay', 'blog_memo']"
    project.write("blog/models.py", changes["delete"])
    project.run("manage.py", "makemigrations", "blog")
    assert "Traceback" not in project.run("manage.py", "migrate")
    assert project.shell(answers + look) == "['Tax guide'] True ['blog_essay']"
    left = (
        'from django.db import connection as c; k = c.cursor(); k.execute("select name '
        "from sqlite_master where type = "
        "'trigger' and tbl_name not in ('blog_essay', 'auth_user')\"); a = k.fetchall(); "
        "k.execute('select count(*) from semantic_outbox'); print(a, k.fetchall())"
    )
    assert project.shell(left) == "[] [(0,)]"


PYTEST = """
import pytest
from blog.models import Article


@pytest.mark.django_db
def test_rolled_back():
    Article.objects.create(title="Loops", content="repeat a block")
    assert [row.title for row in Article.search("repeat")] == ["Loops"]


@pytest.mark.django_db(transaction=True)
def test_committed():
    Article.objects.create(title="Lists", content="repeat it")
    assert [row.title for row in Article.search("repeat")] == ["Lists"]


@pytest.mark.django_db
def test_rolled_back_again():
    assert list(Article.search("repeat", mode="text")) == []
"""


@pytest.mark.parametrize(
    ("options", "runs"), [((), 1), (("--reuse-db",), 2)], ids=["plain", "reuse-db"]
)
def test_pytest_leaves_the_index_of_the_project_alone(
    project: Project, options: tuple[str, ...], runs: int
) -> None:
    project.write("test_with_pytest.py", PYTEST)
    for _ in range(runs):
        said = project.run(
            "-m", "pytest", "-q", "--ds", "site1.settings", *options, "test_with_pytest.py"
        )
        assert "3 passed" in said
    assert project.shell(LOOK) == FOUND
