"""Where an index lies that nobody gave a place: in the application's project,
whatever folder a process is started in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from sysconfig import get_paths

from semantic_core.errors import ConfigError

_INSTALLED = ("purelib", "platlib", "stdlib", "platstdlib")


def project_folder(models: Iterable[type]) -> Path:
    """The folder beside the package, or the module, that these models are written in; absolute.

    Models of installed packages do not count, for what lies there is lost with the next update.
    Without models it is the folder of the main program. In an interactive session it is the working
    folder. Raises ConfigError if all models are of installed packages: then a path has to be given.
    """
    modules = sorted({model.__module__ for model in models}) or ["__main__"]
    folders = [_folder(name) for name in modules]
    own = sorted(folder for folder in folders if not _is_installed(folder))
    if not own:
        raise ConfigError(
            f"Where shall the index lie? The models are in installed packages only ({modules[0]}).",
            hint=(
                'Say it: path="/srv/app/semantic.db" in semantic-core.toml, or SEMANTIC_CORE_PATH.'
            ),
        )
    return own[0]


def _folder(module: str) -> Path:
    top = sys.modules.get(module.partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is not None:
        place = Path(file).resolve()
        return place.parent.parent if place.name == "__init__.py" else place.parent
    searched = list(getattr(top, "__path__", []))  # a package without __init__.py
    return Path(searched[0]).resolve().parent if searched else Path.cwd()


def _is_installed(folder: Path) -> bool:
    paths = get_paths()
    return any(folder.is_relative_to(Path(paths[name]).resolve()) for name in _INSTALLED)
