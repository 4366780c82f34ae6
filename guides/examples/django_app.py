"""Django in one file, the blueprint adapter beside it. Run: python django_app.py runserver"""

import os
import sys

import django
from django.apps import AppConfig
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connection, models
from django.http import JsonResponse
from django.urls import path


class Library(AppConfig):
    path = os.path.dirname(os.path.abspath(__file__))  # a project has a folder for each app


if not settings.configured:
    settings.configure(
        DEBUG=False,
        SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[Library("library", sys.modules[__name__])],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ.get("APP_DB", "app.db"),
            }
        },
    )
    django.setup()

from django_adapter import SemanticIndex, init_database

from semantic_core import SemanticCore


class Article(models.Model):
    title = models.TextField()
    content = models.TextField()

    search = SemanticIndex(["title", "content"])

    class Meta:
        app_label = "library"


# One for the process.
core = SemanticCore.from_config(path=os.environ.get("APP_INDEX", "app.semantic.db"))


def start() -> None:
    """In a project: the table comes from migrations,
    and this is called from `AppConfig.ready` and after `migrate`.
    """
    if Article._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Article)
    init_database(core)


def articles(request):
    row = Article.objects.create(title=request.GET["title"], content=request.GET["content"])
    return JsonResponse({"id": row.pk})


def search(request):
    found = Article.search(request.GET["q"], limit=5)
    rows = [{"id": row.pk, "title": row.title, "score": row.search_hit.score} for row in found]
    return JsonResponse(rows, safe=False)


urlpatterns = [path("articles", articles), path("search", search)]
start()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
