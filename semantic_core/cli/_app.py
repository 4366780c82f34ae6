"""The application whose models are meant: ``--app module:name``,
as servers of web applications take it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from sysconfig import get_paths
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._group import DEBUG
from semantic_core.cli._options import json_option
from semantic_core.cli._output import note, visible
from semantic_core.errors import ConfigError, SemanticCoreError

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm import BaseORMAdapter

VARIABLE = "SEMANTIC_CORE_APP"
"""Environment variable that stands for ``--app``."""
_HERE = str(Path(__file__).parents[1])
_FIRST_STEPS = dict.fromkeys(
    ("AppRegistryNotReady", "ImproperlyConfigured"),
    "In a Django project, begin that module with: import os, django; "
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings"); django.setup().',
)
"""By name of an error, what an application has to do before its models can be imported."""

app_option = click.option(
    "--app",
    metavar="MODULE:NAME",
    envvar=VARIABLE,
    help=(
        "Where the application binds its models: a SemanticCore, or a function that gives one. "
        f"Default: {VARIABLE}."
    ),
)
index_option = click.option(
    "--index",
    "indexes",
    metavar="COLLECTION",
    multiple=True,
    help="Only this index; repeatable. Default: all of them.",
)


def of_app(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--app`` and ``--json``, which every command about models has."""
    return app_option(json_option(command))


@contextmanager
def application(app: str | None) -> Iterator[SemanticCore]:
    """The core of the application, closed afterwards.

    Raises ConfigError if it cannot be found or has no model.
    """
    core = core_of(app)
    try:
        yield core
    finally:
        core.close()


def adapters_of(
    core: SemanticCore, indexes: tuple[str, ...] = (), *, needed: bool = True
) -> list[BaseORMAdapter]:
    """The indexes of models bound to a core, by collection; those kept in memory instead of there
    too.

    needed: there must be one. Raises ConfigError if there is none, or not the one asked for.
    """
    from semantic_core.orm.databases import adapters_in

    found = adapters_in(core)
    for name in indexes:
        if name not in found:
            raise ConfigError(
                f"There is no index {name!r}; there are {', '.join(sorted(found)) or 'none'}."
            )
    if needed and not found:
        raise ConfigError(
            "No model of this application has an index.",
            hint=(
                "Declare one with SemanticIndex; what a former one left is shown by "
                "semantic-core outbox status."
            ),
        )
    return [found[name] for name in sorted(found) if not indexes or name in indexes]


def tell_of_memory(core: SemanticCore, adapters: list[BaseORMAdapter]) -> None:
    """Note which of these indexes are in memory because the given one is another database's."""
    from semantic_core.orm.databases import moved_into_memory

    why = moved_into_memory(core)
    for name in (adapter.declaration.collection for adapter in adapters):
        if name in why:
            note(
                f"{visible(name)} is in memory, of each process its own: {visible(why[name])}. "
                "To keep one: path=, or SEMANTIC_CORE_PATH."
            )


def core_of(app: str | None) -> SemanticCore:
    """What ``module:name`` leads to: a core, an adapter, a list of adapters,
    or a function that gives one of these.
    """
    from semantic_core.core import SemanticCore

    if not app:
        raise ConfigError(
            "Which application? Its models are bound in Python.",
            hint=f"Name it: --app myproject.search:core, or set {VARIABLE}.",
        )
    module, colon, name = app.partition(":")
    if not (module and colon and name):
        raise ConfigError(
            f"--app is written module:name, got {app!r}.",
            hint="For example --app myproject.search:core.",
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: Any = _imported(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{module} has no {name!r}.")
        found = getattr(found, part)
    if callable(found) and not isinstance(found, SemanticCore) and not hasattr(found, "core"):
        found = _called(found, app)
    if isinstance(found, list | tuple) and found:
        found = found[0]
    core = found if isinstance(found, SemanticCore) else getattr(found, "core", None)
    if core is None and isinstance(found, list | tuple):
        raise ConfigError(
            f"{app} gives no index: none is declared on its models, and none has left anything.",
            hint="Declare one with SemanticIndex, or name a SemanticCore.",
        )
    if not isinstance(core, SemanticCore):
        raise ConfigError(f"{app} is no SemanticCore, and gives none: {type(found).__name__}.")
    if not core.followers:
        raise ConfigError(
            f"No model is bound to the core of {app}.",
            hint="Call init_database(...) where it is made.",
        )
    return core


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except SemanticCoreError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"There is no module {error.name!r} here.",
                hint="Run it in the folder the application is started in.",
            ) from error
        raise _theirs(f"{module} cannot be imported", error) from error
    except Exception as error:
        raise _theirs(f"{module} cannot be imported", error) from error


def _called(function: Callable[[], Any], app: str) -> Any:
    try:
        return function()
    except SemanticCoreError:
        raise
    except Exception as error:
        raise _theirs(f"{app} fails when it is called", error) from error


def _theirs(what: str, error: Exception) -> ConfigError:
    """A mistake of the application, told as one: the error,
    and the line of the application it comes from.
    """
    first_line = str(error).strip().partition("\n")[0].rstrip(".")
    said = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    return ConfigError(
        f"{what}: {said}{_place(error)}.",
        hint=_FIRST_STEPS.get(
            type(error).__name__,
            f"It is the application's own error; {DEBUG}=1 shows its traceback.",
        ),
    )


def _place(error: Exception) -> str:
    """ ", in FILE, line N": the last line of the application itself that was run;
    "" if there is none.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f", in {error.filename}, line {error.lineno}"
    installed = tuple(get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    run = [
        frame
        for frame in extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", _HERE))
    ]
    own = [frame for frame in run if not frame.filename.startswith(installed)] or run
    return f", in {own[-1].filename}, line {own[-1].lineno}" if own else ""
