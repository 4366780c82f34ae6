"""Declares an index for each family of indexed models, and binds it with the adapter for Django, so
that triggers report every committed change.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models, router

from semantic_core import SemanticCore
from semantic_core.orm import BaseORMAdapter, blueprint_module, declare
from semantic_core.types import INDEX_FILE
from semantic_core_wagtail.documents import declaration
from semantic_core_wagtail.families import families, top_of
from semantic_core_wagtail.options import PACKAGE, Options, one_core

ATTRIBUTE = "semantic_core_index"
"""The attribute of a model that has its index."""
_lock = threading.Lock()
_followed: set[type[models.Model]] = set()


def follow_models() -> None:
    """Declare and bind the indexes of all indexed models, if a search backend is this package.

    A second call does nothing. Touches no database: `migrate` creates outbox and triggers, and
    indexes the rows that are there. Raises ImproperlyConfigured.
    """
    options = one_core()
    if options is None:
        return
    with _lock:
        if _followed:
            return
        adapter = adapter_module(options.adapter)
        core = _core(options)
        for top in families():
            declare(top, declaration(top), name=ATTRIBUTE)
            _followed.add(top)
        for alias in sorted({router.db_for_write(top) for top in families()}):
            adapter.keep_indexes(core, using=alias)


def adapter_module(name: str) -> ModuleType:
    """The module with the adapter for Django. name: of the application's own copy; "" takes the
    blueprint as it is. Raises ImproperlyConfigured.
    """
    if not name:
        return blueprint_module("django_adapter")
    try:
        return import_module(name)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"The module {name!r}, which the search backend has as ADAPTER, cannot be imported: "
            f"{error}. Name the module with your copy of django_adapter.py, or leave ADAPTER out."
        ) from error


def _core(options: Options) -> SemanticCore | None:
    """The core that the options describe; None for the usual one."""
    if not options.core:
        return None
    folder = Path(getattr(settings, "BASE_DIR", "")).absolute()
    return SemanticCore.from_config(usually={"path": str(folder / INDEX_FILE)}, **options.core)


def index_of(model: type[models.Model]) -> BaseORMAdapter:
    """The bound index of the model's family. Raises ImproperlyConfigured if the app is not
    installed, so that nothing is kept.
    """
    top = top_of(model)
    if top not in _followed:
        follow_models()
    if top not in _followed:
        raise ImproperlyConfigured(
            f"{model.__name__} has no index: no search backend of the settings is {PACKAGE}."
        )
    index: BaseORMAdapter = getattr(top, ATTRIBUTE)
    return index
