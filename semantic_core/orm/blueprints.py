"""The adapters that applications copy: where their files are, and how a plugin imports one of them.

A blueprint is written once and used in two ways. An application copies the file and owns it from
then on (``semantic-core blueprint django``); a plugin for a framework that is built on the same ORM
imports it, unchanged, with `blueprint_module`.

Tested by tests/orm/test_blueprints.py, tests/cli/test_blueprint.py.
"""

from __future__ import annotations

import sys
import threading
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from semantic_core.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS = (_PACKAGE / "_blueprints", _PACKAGE.parent / "adapters_blueprints")
"""Folders of the files: inside an installed wheel, or beside the package in the repository."""
_MODULES = "semantic_core_blueprints_"
"""The names of imported blueprints begin with this, so that none hides a copy of an application."""
_lock = threading.RLock()


def blueprint_file(name: str) -> Path:
    """The path of a blueprint. name: of the file, such as "django_adapter.py". Raises ConfigError
    if it is not installed.
    """
    for folder in FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(
        f"The file {name} is not part of this installation.",
        hint="Install the wheel again: pip install --force-reinstall semantic-core-kernel",
    )


def blueprint_module(name: str) -> ModuleType:
    """Import a blueprint as it is, once in a process. name: of the module, such as
    "django_adapter".

    It imports its ORM, which must be installed and set up. An application that has copied the file
    has a module of its own: classes of the two are not the same. Raises ConfigError if there is no
    such blueprint, and whatever the import of the ORM raises.
    """
    full_name = _MODULES + name
    with _lock:
        if full_name in sys.modules:
            return sys.modules[full_name]
        spec = spec_from_file_location(full_name, blueprint_file(f"{name}.py"))
        if spec is None or spec.loader is None:
            raise ConfigError(f"The blueprint {name!r} cannot be imported.")
        module = module_from_spec(spec)
        sys.modules[full_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full_name]  # the next call tries again
            raise
        return module
