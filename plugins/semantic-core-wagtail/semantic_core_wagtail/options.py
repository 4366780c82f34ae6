"""The entries of ``MODELSEARCH_BACKENDS`` that name this package: which there are, and what their
options mean.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import attrs
from django.core.exceptions import ImproperlyConfigured

PACKAGE = "semantic_core_wagtail"
MOST_BY_MEANING = 1_000
"""The most that MEANING may be."""
USUAL_BY_MEANING = 10
"""MEANING, where it is not set."""

_KNOWN = ("MEANING", "LEAST_SIMILARITY", "CORE", "ADAPTER")
_OF_MODELSEARCH = ("BACKEND", "AUTO_UPDATE", "AUTO_UPDATE_ENABLED", "INDEX", "ATOMIC_REBUILD")
"""Options that modelsearch reads, or that other backends have: a site may switch to and fro."""


@attrs.frozen
class Options:
    """The options of one search backend.

    meaning: how many objects a search for plain text adds to those that contain its words, because
    they are close in meaning; 0 searches words only. least_similarity: the cosine similarity, from
    -1 to 1, below which an object is not close in meaning; None adds the closest ones, however far
    they are. core: settings of the index, as `SemanticCore.from_config` takes them; {} for the
    usual ones. adapter: the module of the application's own copy of django_adapter.py; "" takes the
    blueprint as it is.
    """

    meaning: int = USUAL_BY_MEANING
    least_similarity: float | None = None
    core: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    adapter: str = ""


def backend_settings() -> dict[str, dict[str, Any]]:
    """The settings of every search backend that is this package, by its name."""
    from modelsearch.conf import get_app_config

    found = {}
    for name, params in get_app_config().get_search_backend_config().items():
        backend = params.get("BACKEND", "")
        if backend == PACKAGE or backend.startswith(f"{PACKAGE}."):
            found[name] = params
    return found


def checked_options(name: str, params: Mapping[str, Any]) -> Options:
    """The options of one backend. name: of the backend, for messages. Raises ImproperlyConfigured
    for an option that does not exist, or a value that cannot be meant.
    """
    where = f"The search backend {name!r}"
    for option in params:
        if option not in _KNOWN and option not in _OF_MODELSEARCH:
            close = get_close_matches(str(option), _KNOWN, 1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise ImproperlyConfigured(
                f"{where} has an unknown option {option!r}; there are {', '.join(_KNOWN)}.{meant}"
            )
    meaning = params.get("MEANING", USUAL_BY_MEANING)
    if isinstance(meaning, bool) or not isinstance(meaning, int):
        raise ImproperlyConfigured(f"{where}: MEANING must be a whole number, got {meaning!r}.")
    if not 0 <= meaning <= MOST_BY_MEANING:
        raise ImproperlyConfigured(
            f"{where}: MEANING must be from 0 to {MOST_BY_MEANING:,}, got {meaning!r}."
        )
    least = params.get("LEAST_SIMILARITY")
    if least is not None and not _is_similarity(least):
        raise ImproperlyConfigured(
            f"{where}: LEAST_SIMILARITY must be a number from -1 to 1, got {least!r}."
        )
    core = params.get("CORE", {})
    if not isinstance(core, Mapping):
        raise ImproperlyConfigured(
            f"{where}: CORE must be a mapping of settings such as "
            f'{{"embedder": "wordllama"}}, got {core!r}.'
        )
    adapter = params.get("ADAPTER", "")
    if not isinstance(adapter, str):
        raise ImproperlyConfigured(
            f"{where}: ADAPTER must be the name of a module such as "
            f'"mysite.django_adapter", got {adapter!r}.'
        )
    return Options(meaning, least, dict(core), adapter)


def _is_similarity(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value <= 1


def one_core() -> Options | None:
    """The options by which the index of this process is made; None if no backend is this package.

    Raises ImproperlyConfigured if two backends name different ones: an object is indexed once.
    """
    chosen: Options | None = None
    first = ""
    for name, params in backend_settings().items():
        options = checked_options(name, params)
        if chosen is None:
            chosen = options
            first = name
        elif (options.core, options.adapter) != (chosen.core, chosen.adapter):
            raise ImproperlyConfigured(
                f"The search backends {first!r} and {name!r} have different CORE or ADAPTER "
                "settings, and share one index. Give both the same."
            )
    return chosen
