"""A search backend for Wagtail and django-modelsearch: their search API, with the index of Semantic
Core, which follows every committed row.

``MODELSEARCH_BACKENDS`` or ``WAGTAILSEARCH_BACKENDS`` names this package as a BACKEND, and
INSTALLED_APPS lists it.

Modules: `apps` (start-up), `options` (what the setting may contain), `families` (which models share
an index), `documents` (what is indexed of an object), `following` (declaring and binding the
indexes), `index` (add, delete, rebuild), `words` (what a query matches), `backend` (compilers,
results, the backend). They are imported when they are first used.

Tested by tests/test_plugin.py.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from semantic_core import hookimpl

if TYPE_CHECKING:
    from semantic_core_wagtail.backend import SemanticSearchBackend, SemanticSearchResults

    SearchBackend = SemanticSearchBackend

__all__ = ["SearchBackend", "SemanticSearchBackend", "SemanticSearchResults"]

SEMANTIC_CORE_API = 1

_LATER = {
    "SearchBackend": "SemanticSearchBackend",
    "SemanticSearchBackend": "SemanticSearchBackend",
    "SemanticSearchResults": "SemanticSearchResults",
}
"""Names of this package, and what they are in `semantic_core_wagtail.backend`, which needs Django's
models and is therefore imported late."""


@hookimpl
def semantic_orm_adapter(model: type) -> type[Any] | None:
    """The adapter for a Django model; None for any other class."""
    django_models = sys.modules.get("django.db.models")
    if django_models is None or not issubclass(model, django_models.Model):
        return None
    from semantic_core.orm import blueprint_module

    adapter: type[Any] = blueprint_module("django_adapter").DjangoAdapter
    return adapter


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module("semantic_core_wagtail.backend"), _LATER[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
