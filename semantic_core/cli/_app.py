"""``--app module:name``: the application whose models a command is about.

The notation is that of servers of web applications.

Tested by tests/cli/test_models.py.
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

app_option = click.option(
    "--app",
    metavar="MODULE:NAME",
    envvar=VARIABLE,
    help=(
        "Where the application binds its models: a SemanticCore, or a function that returns one. "
        f"Default: the environment variable {VARIABLE}."
    ),
)
index_option = click.option(
    "--index",
    "indexes",
    metavar="COLLECTION",
    multiple=True,
    help="Only this index; repeatable. Default: all indexes.",
)


def app_and_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--app`` and ``--json``, which every command about models has."""
    return app_option(json_option(command))


@contextmanager
def application(app: str | None) -> Iterator[SemanticCore]:
    """The core of the application, closed afterwards.

    Raises ConfigError if it cannot be found or has no model.
    """
    core = load_core(app)
    try:
        yield core
    finally:
        core.close()


def adapters_of(
    core: SemanticCore, indexes: tuple[str, ...] = (), *, needed: bool = True
) -> list[BaseORMAdapter]:
    """The adapters of the models bound to a core, sorted by collection.

    Includes adapters whose index is in memory because the configured file belongs to another
    database. indexes: only these collections; () means all. needed: raise if there is no adapter.
    Raises ConfigError if there is none, or not the one asked for.
    """
    from semantic_core.orm.databases import adapters_in

    found = adapters_in(core)
    for name in indexes:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise ConfigError(
                f"There is no index {name!r}.", hint=f"The indexes of this application: {known}."
            )
    if needed and not found:
        raise ConfigError(
            "No model of this application has an index.",
            hint=(
                "Declare one with SemanticIndex. To see what is left of a former index: "
                "semantic-core outbox status."
            ),
        )
    return [found[name] for name in sorted(set(indexes or found))]


def searchable(core: SemanticCore, indexes: tuple[str, ...] = ()) -> list[BaseORMAdapter]:
    """The adapters whose index is in the core's own store, sorted by collection.

    An index is in memory if the configured file belongs to another database: a note names each of
    these. indexes: only these collections; () means all. Raises ConfigError if none is left, or a
    table or an outbox does not exist.
    """
    adapters = adapters_of(core, indexes)
    require_tables(adapters)
    require_outbox(adapters)
    for adapter in adapters:
        with adapter.connected():
            adapter.coordinator.check_agreement()
    note_indexes_in_memory(core, adapters)
    own = [adapter for adapter in adapters if adapter.core is core]
    if not own:
        raise ConfigError("No index of this application is stored where another process finds it.")
    return own


def require_tables(adapters: list[BaseORMAdapter]) -> None:
    """Raise ConfigError if a table of these indexes does not exist."""
    from semantic_core.orm.migrations import has_table

    for adapter in adapters:
        if not has_table(adapter):
            raise ConfigError(
                f"The table {adapter.table.name!r} of {adapter.model.__name__} does not exist.",
                hint="Create it, for example with your migrations, then run this command again.",
            )


def require_outbox(adapters: list[BaseORMAdapter]) -> None:
    """Raise ConfigError if the database of one of these indexes has no outbox."""
    for adapter in adapters:
        if not adapter.coordinator.is_installed(check_again=True):
            require_tables([adapter])
            raise ConfigError(
                f"The index of {adapter.model.__name__} is not installed in its database.",
                hint=f"Install it first: {adapter.install_step}.",
            )


def note_indexes_in_memory(core: SemanticCore, adapters: list[BaseORMAdapter]) -> None:
    """Print a note for each index that is in memory, with the reason."""
    from semantic_core.orm.databases import moved_into_memory

    reasons = moved_into_memory(core)
    for adapter in adapters:
        name = adapter.declaration.collection
        if name in reasons:
            note(
                f"{visible(name)} is in memory, a separate index in each process: "
                f"{visible(reasons[name])}. To store it in a file, set path= or "
                "SEMANTIC_CORE_PATH."
            )


def load_core(app: str | None) -> SemanticCore:
    """The core that ``module:name`` leads to.

    The name may be that of a core, an adapter, a list of adapters, or a function that returns one
    of these. Raises ConfigError if it leads to none, or no model is bound to it.
    """
    from semantic_core.core import SemanticCore

    if not app:
        raise ConfigError(
            "This command needs an application: models are declared in Python.",
            hint=f"Name it with --app, for example --app myproject.search:core, or set {VARIABLE}.",
        )
    found = _named_object(app)
    if callable(found) and not isinstance(found, SemanticCore) and not hasattr(found, "core"):
        found = _call(found, app)
    if isinstance(found, list | tuple) and found:
        found = found[0]
    core = found if isinstance(found, SemanticCore) else getattr(found, "core", None)
    if core is None and isinstance(found, list | tuple):
        raise ConfigError(
            f"{app} returns no index: no model declares one, and nothing is left of others.",
            hint="Declare one with SemanticIndex, or name a SemanticCore.",
        )
    if not isinstance(core, SemanticCore):
        raise ConfigError(
            f"{app} is a {type(found).__name__}, not a SemanticCore or a function that returns one."
        )
    if not core.followers:
        raise ConfigError(
            f"No model is bound to the core of {app}.",
            hint="Call init_database(...) in the module that creates it.",
        )
    return core


def _named_object(app: str) -> Any:
    """What ``module:name`` names; the name may have dots."""
    module, colon, name = app.partition(":")
    if not (module and colon and name):
        raise ConfigError(
            f"--app has the form MODULE:NAME, got {app!r}.",
            hint="For example --app myproject.search:core.",
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: Any = _import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{module} has no {name!r}.")
        found = getattr(found, part)
    return found


def _import_module(module: str) -> Any:
    try:
        return import_module(module)
    except SemanticCoreError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"There is no module {error.name!r} here.",
                hint="Run the command in the folder in which the application is started.",
            ) from error
        raise _application_error(f"{module} cannot be imported", error) from error
    except Exception as error:
        raise _application_error(f"{module} cannot be imported", error) from error


def _call(function: Callable[[], Any], app: str) -> Any:
    try:
        return function()
    except SemanticCoreError:
        raise
    except Exception as error:
        raise _application_error(f"{app} fails when it is called", error) from error


_DJANGO_SETUP = (
    "In a Django project, begin that module with: import os, django; "
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings"); django.setup().'
)
_DJANGO_NOT_SET_UP = ("AppRegistryNotReady", "ImproperlyConfigured")
"""Names of the errors Django raises when models are imported before ``django.setup()``."""


def _application_error(what: str, error: Exception) -> ConfigError:
    """An error of the application's own code, with the line of the application it comes from."""
    name = type(error).__name__
    first_line = str(error).strip().partition("\n")[0].rstrip(".")
    description = f"{name}: {first_line}" if first_line else name
    hint = f"The error is in the application; {DEBUG}=1 shows its traceback."
    if name in _DJANGO_NOT_SET_UP:
        hint = _DJANGO_SETUP
    return ConfigError(f"{what}: {description}{_location(error)}.", hint=hint)


_PACKAGE = str(Path(__file__).parents[1])


def _location(error: Exception) -> str:
    """ ", in FILE, line N": the last line of the application's own code that was run.

    "" if there is none.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f", in {error.filename}, line {error.lineno}"
    paths = get_paths()
    installed = (paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"])
    last = None
    last_own = None
    for frame in extract_tb(error.__traceback__):
        if frame.filename.startswith(("<", _PACKAGE)):
            continue
        last = frame
        if not frame.filename.startswith(installed):
            last_own = frame
    shown = last_own or last
    return f", in {shown.filename}, line {shown.lineno}" if shown else ""
