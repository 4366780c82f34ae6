"""Where the index of a database is stored if neither the application nor the configuration says.

Tested by tests/orm/test_places.py and tests/orm/test_home.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from sysconfig import get_paths
from typing import Any

from semantic_core.errors import ConfigError
from semantic_core.types import INDEX_SUFFIX

_INSTALLED = ("purelib", "platlib", "stdlib", "platstdlib")
"""The folders of installed packages, as `sysconfig` names them."""
_NOT_IN_A_FILE_NAME = re.compile(r"[^\w.-]")


def usual_place(
    *,
    database_file: str | Path | None = None,
    database_name: str = "",
    folder: Path | None = None,
) -> dict[str, Any]:
    """Settings for `SemanticCore.from_config`: where the index of this database is stored.

    database_file: the file of a SQLite database; the index is beside it, as "<file>.semantic.db".
    database_name: the name of a database on a server; the index is "<name>.semantic.db" in the
    folder. folder: for such an index; None takes the working folder. Without a file and a name it
    is a database in memory, and its index is in memory too.
    """
    if database_file is not None:
        return {"path": Path(f"{database_file}{INDEX_SUFFIX}").absolute()}
    if not database_name:
        return {"store": "memory"}
    file_name = _NOT_IN_A_FILE_NAME.sub("_", database_name)
    return {"path": (folder or Path.cwd()) / f"{file_name}{INDEX_SUFFIX}"}


def project_folder(models: Iterable[type]) -> Path:
    """The folder beside the package, or the module, that these models are written in; absolute.

    Models of installed packages do not count, since the next update would delete a file there.
    Without models it is the folder of the main program, and in an interactive session the working
    folder. Raises ConfigError if all models are of installed packages: then a path is needed.
    """
    modules = sorted({model.__module__ for model in models}) or ["__main__"]
    folders = [_folder(name) for name in modules]
    own = sorted(folder for folder in folders if not _is_installed(folder))
    if not own:
        raise ConfigError(
            "There is no folder for the index: the models are in installed packages only "
            f"({modules[0]}).",
            hint=(
                'Give a path: path="/srv/app/semantic.db" in semantic-core.toml, or '
                "SEMANTIC_CORE_PATH."
            ),
        )
    return own[0]


def _folder(module: str) -> Path:
    """The folder that contains the top-level package or module of a module."""
    top = sys.modules.get(module.partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is not None:
        path = Path(file).resolve()
        return path.parent.parent if path.name == "__init__.py" else path.parent
    searched = list(getattr(top, "__path__", []))  # a package without __init__.py
    return Path(searched[0]).resolve().parent if searched else Path.cwd()


def _is_installed(folder: Path) -> bool:
    paths = get_paths()
    return any(folder.is_relative_to(Path(paths[name]).resolve()) for name in _INSTALLED)
