"""Settings of a project with modelsearch's own test app, for `suite_run`."""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(os.environ["SUITE_FOLDER"])
SECRET_KEY = "tests"  # noqa: S105
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = [
    "modelsearch.test.testapp",
    "modelsearch",
    "semantic_core_wagtail",
    "taggit",
    "django.contrib.auth",
    "django.contrib.contenttypes",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
FIXTURE_DIRS = [BASE_DIR]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
MODELSEARCH_BACKENDS = {
    "default": {
        "BACKEND": "semantic_core_wagtail",
        "MEANING": int(os.environ.get("SUITE_MEANING", "0")),
        "CORE": {"embedder": os.environ.get("SUITE_EMBEDDER", "none")},
    },
    "sqlite": {"BACKEND": "modelsearch.backends.database.sqlite.sqlite"},
}
