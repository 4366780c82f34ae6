"""``semantic-core plugins new``: write the package of a plugin, whose tests pass at once.

Tested by tests/cli/test_plugin_new.py.
"""

from __future__ import annotations

import keyword
import re
import shlex
from pathlib import Path
from string import Template
from typing import NamedTuple

import click

from semantic_core.cli._options import json_option
from semantic_core.cli._output import fitted, visible, write, write_json
from semantic_core.errors import ConfigError, InputError

TEMPLATES = Path(__file__).resolve().parent.parent / "_templates"
SUFFIX = ".txt"
"""Of every template, after the name of the file that it becomes."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class PluginKind(NamedTuple):
    """A kind of plugin. about: what it is. needs: packages besides the kernel."""

    about: str
    needs: tuple[str, ...] = ()


KINDS = {
    "embedder": PluginKind("turns texts into vectors", ("numpy>=2.1",)),
    "analyser": PluginKind("splits texts into the terms of full-text search"),
    "splitter": PluginKind("splits documents of a format into chunks"),
    "reader": PluginKind("reads files of a format"),
    "store": PluginKind("stores documents, chunks and vectors", ("numpy>=2.1",)),
    "orm": PluginKind("keeps an index of an ORM's models"),
    "retriever": PluginKind("finds candidates for a search"),
    "reranker": PluginKind("orders the hits of a search"),
    "middleware": PluginKind("runs around every search"),
    "command": PluginKind("adds a command to semantic-core", ("click>=8.2.1",)),
}
"""Every kind of plugin that there is a template for."""
_LISTED = "\n".join(f"  {kind:<11} {about}" for kind, (about, _) in KINDS.items())


@click.command(
    "new",
    short_help="Write the package of a new plugin.",
    help=(
        "Write the package of a new plugin NAME into the folder semantic-core-NAME: it installs, "
        "works, and passes the tests of its contract, so that you can change it step by step.\n\n"
        f"\b\n{_LISTED}"
    ),
)
@click.argument("name")
@click.option("--kind", type=click.Choice([*KINDS]), required=True, help="What the plugin does.")
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write into FOLDER instead, which must be empty or not exist.",
)
@json_option
def new(name: str, kind: str, output: Path | None, as_json: bool) -> None:
    """Write the files, and print what to do next."""
    package = Package(name, kind)
    folder = output or Path(package.distribution)
    files = package.write(folder)
    steps = [
        f"cd {shlex.quote(str(folder))}",
        'pip install -e ".[dev]"',
        f"semantic-core plugins show {name}",
        "pytest",
    ]
    if as_json:
        created = [file.as_posix() for file in files]
        write_json({"folder": str(folder.resolve()), "files": created, "next": steps})
        return
    write(fitted(f"Wrote {len(files)} files into {visible(folder)}. Next:"))
    for step in steps:
        write(f"  {visible(step)}")


class Package:
    """The files of a new plugin. Raises InputError for a name that cannot be one."""

    def __init__(self, name: str, kind: str) -> None:
        if not NAME.fullmatch(name) or keyword.iskeyword(name):
            raise InputError(
                f"The name of a plugin has lower-case letters, digits and _, got {name!r}.",
                hint="For example: semantic-core plugins new decay --kind reranker",
            )
        self.name = name
        self.distribution = f"semantic-core-{name.replace('_', '-')}"
        self._kind = kind
        needs = ["semantic-core-kernel>=0.1", *KINDS[kind].needs]
        self._values = {
            "name": name,
            "command": name.replace("_", "-"),
            "title": "".join(part.capitalize() for part in name.split("_")),
            "package": f"semantic_core_{name}",
            "distribution": self.distribution,
            "summary": f"A plugin for Semantic Core that {KINDS[kind].about}.",
            "dependencies": ", ".join(f'"{need}"' for need in sorted(needs)),
        }

    def files(self) -> dict[Path, str]:
        """Every file, by its path in the folder of the package."""
        package = Path(self._values["package"])
        made = {package / "py.typed": ""}
        for template in sorted([*TEMPLATES.glob("*.txt"), *(TEMPLATES / self._kind).glob("*.txt")]):
            target = template.name.removesuffix(SUFFIX)
            place = package / target
            if template.parent == TEMPLATES:
                place = Path(target)
            elif target == "plugin.py":
                place = package / "__init__.py"
            elif target == "test.py":
                place = Path("tests", f"test_{self.name}.py")
            made[place] = Template(template.read_text("utf-8")).substitute(self._values)
        return made

    def write(self, folder: Path) -> list[Path]:
        """Write the files into the folder; returns their paths below it, sorted. Raises ConfigError
        if there is anything in the folder, or it cannot be written.
        """
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise ConfigError(
                    f"{str(folder)!r} exists and is not empty; nothing was written.",
                    hint="Name another folder with --output.",
                )
            made = self.files()
            for place, text in made.items():
                file = folder / place
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"Cannot write into {str(folder)!r}: {error.strerror}.") from error
        return sorted(made)
