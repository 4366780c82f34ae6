"""The application whose models are meant: ``--app module:name``, as servers of web applications take it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from semantic_core.errors import ConfigError

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm import BaseORMAdapter

VARIABLE = "SEMANTIC_CORE_APP"
"""Environment variable that stands for ``--app``."""

_app = click.option(
    "--app",
    metavar="MODULE:NAME",
    envvar=VARIABLE,
    help=f"Where the application binds its models: a SemanticCore, or a function that gives one. Default: {VARIABLE}.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON on standard output, for programs.")
index_option = click.option(
    "--index", "indexes", metavar="COLLECTION", multiple=True, help="Only this index; repeatable. Default: all of them."
)


def of_app(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--app`` and ``--json``, which every command about models has."""
    return _app(_json(command))


@contextmanager
def application(app: str | None) -> Iterator[SemanticCore]:
    """The core of the application, closed afterwards. Raises ConfigError if it cannot be found or has no model."""
    core = core_of(app)
    try:
        yield core
    finally:
        core.close()


def adapters_of(core: SemanticCore, indexes: tuple[str, ...] = ()) -> list[BaseORMAdapter]:
    """The indexes of models bound to a core, by collection. Raises ConfigError for one that is not there."""
    from semantic_core.orm._hub import Hub

    found: dict[str, Any] = {}
    for follower in core.followers:
        if isinstance(follower, Hub):
            found.update(follower.adapters)
    for name in indexes:
        if name not in found:
            raise ConfigError(f"There is no index {name!r}; there are {', '.join(sorted(found)) or 'none'}.")
    return [found[name] for name in sorted(found) if not indexes or name in indexes]


def core_of(app: str | None) -> SemanticCore:
    """What ``module:name`` leads to: a core, an adapter, a list of adapters, or a function that gives one of these."""
    from semantic_core.core import SemanticCore

    if not app:
        raise ConfigError(
            "Which application? Its models are bound in Python.",
            hint=f"Name it: --app myproject.search:core, or set {VARIABLE}.",
        )
    module, colon, name = app.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"--app is written module:name, got {app!r}.", hint="For example --app myproject.search:core.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"{module} cannot be imported: {error}.") from error
        raise ConfigError(
            f"There is no module {error.name!r} here.", hint="Run it in the folder the application is started in."
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{module} has no {name!r}.")
        found = getattr(found, part)
    if callable(found) and not isinstance(found, SemanticCore) and not hasattr(found, "core"):
        found = found()
    if isinstance(found, list | tuple) and found:
        found = found[0]
    core = found if isinstance(found, SemanticCore) else getattr(found, "core", None)
    if not isinstance(core, SemanticCore):
        raise ConfigError(f"{app} is no SemanticCore, and gives none: {type(found).__name__}.")
    if not core.followers:
        raise ConfigError(f"No model is bound to the core of {app}.", hint="Call init_database(...) where it is made.")
    return core
