"""``semantic-core blueprint``: print the adapter for an ORM, to save in a project.

Tested by tests/cli/test_blueprint.py.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from semantic_core.cli._options import json_option
from semantic_core.cli._output import visible, write, write_json
from semantic_core.errors import ConfigError, InputError
from semantic_core.orm.blueprints import blueprint_file


@attrs.frozen
class Blueprint:
    """An adapter to copy. file: name of the file. about: the models it supports."""

    name: str
    file: str
    about: str

    def text(self) -> str:
        """The content of the file. Raises ConfigError if it is not installed."""
        return blueprint_file(self.file).read_text("utf-8")


BLUEPRINTS = {
    "django": Blueprint("django", "django_adapter.py", "models of Django"),
    "django-admin": Blueprint(
        "django-admin", "django_admin.py", "the search box of Django's admin, for such models"
    ),
    "django-command": Blueprint(
        "django-command", "django_command.py", "manage.py semantic_core, for such models"
    ),
    "pony": Blueprint("pony", "pony_adapter.py", "entities of Pony ORM"),
    "sqlalchemy": Blueprint(
        "sqlalchemy", "sqlalchemy_adapter.py", "models of SQLAlchemy, SQLModel and Flask-SQLAlchemy"
    ),
    "tortoise": Blueprint(
        "tortoise", "tortoise_adapter.py", "models of Tortoise ORM, which is asynchronous"
    ),
}
"""All blueprints, by name."""


@click.command()
@click.argument("name", required=False, metavar="[NAME]", type=click.Choice([*BLUEPRINTS]))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the adapter to FILE, which must not exist yet.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@json_option
def blueprint(name: str | None, output: Path | None, force: bool, as_json: bool) -> None:
    """Print the adapter for an ORM, to save in your project.

    Without NAME, list the available adapters.
    """
    if force and output is None:
        raise InputError("--force needs --output.", hint="Name the file with --output FILE.")
    if name is None:
        if output is not None:
            names = ", ".join(BLUEPRINTS)
            raise InputError("--output needs the NAME of an adapter.", hint=f"Adapters: {names}.")
        _list(as_json)
        return
    chosen = BLUEPRINTS[name]
    text = chosen.text()
    if output is not None:
        _save(output, text, force)
        if as_json:
            write_json({"created": str(output.resolve())})
        else:
            write(f"Wrote {visible(output.resolve())}.")
    elif as_json:
        write_json({"name": chosen.name, "file": chosen.file, "text": text})
    else:
        write(text.removesuffix("\n"))


def _list(as_json: bool) -> None:
    if as_json:
        write_json([attrs.asdict(blueprint) for blueprint in BLUEPRINTS.values()])
        return
    for name, blueprint in BLUEPRINTS.items():
        write(f"{name:<16}{blueprint.about}; save it as {blueprint.file}")


def _save(file: Path, text: str, force: bool) -> None:
    """Write the file. Raises ConfigError if it exists, unless `force` is given."""
    try:
        with file.open("w" if force else "x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{file} exists and was not changed.", hint="Overwrite it with --force."
        ) from error
