"""Options several commands share, and the index they speak of."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semantic_core._validation import Scalar
from semantic_core.cli._output import answers_alone, is_terminal, note, visible
from semantic_core.errors import (
    FilterInvalid,
    InputError,
    StoreUnavailable,
    TenantRefused,
    TenantRequired,
)
from semantic_core.filters import Filter

if TYPE_CHECKING:
    from semantic_core._config import Settings
    from semantic_core.core import SemanticCore


# ``--where year>=2020``: conditions as they are typed, made into a filter.
#
# What is typed has no type: ``year=2020`` means the number and the text. An ordering means numbers
# if a number was typed.

_CONDITION = re.compile(
    r"\s*(?P<key>[^!=<>\s][^!=<>]*?)\s*(?P<operator>!=|>=|<=|=|>|<)\s*(?P<value>.*?)\s*", re.DOTALL
)
_NUMBER = re.compile(r"[+-]?(\d+|\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ORDERED = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def parse_where(conditions: Sequence[str]) -> Filter | None:
    """The filter that all of these mean together; None for none. Raises FilterInvalid."""
    parsed = [condition for text in conditions for condition in _parsed(text).conditions]
    return Filter(tuple(parsed)) if parsed else None


def _parsed(text: str) -> Filter:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise FilterInvalid(
            f"--where wants KEY=VALUE, got {text!r}.",
            hint="The operators are = != > >= < <=; quote the condition in a shell.",
        )
    key = match["key"]
    operator = match["operator"]
    value = match["value"]
    if operator in _ORDERED:
        return Filter.parse({key: {_ORDERED[operator]: _number(value, otherwise=value)}})
    return Filter.parse({key: {"in" if operator == "=" else "not_in": _meanings(value)}})


def _meanings(value: str) -> list[Scalar]:
    """Everything a program may have stored that a person would type so."""
    meanings: list[Scalar] = [value]
    if value.lower() in ("true", "false"):
        meanings.append(value.lower() == "true")
    number = _number(value, otherwise=value)
    return meanings if isinstance(number, str) else [*meanings, number]


def _number(value: str, *, otherwise: Scalar) -> Scalar:
    """The number that was typed, if every store can hold it."""
    if not _NUMBER.fullmatch(value):
        return otherwise
    number = int(value) if value.lstrip("+-").isdigit() else float(value)
    return number if abs(number) < 2**63 else otherwise


COLLECTION = "files"
"""What files are ingested into when nothing is said."""
DEFAULT_PATH = "semantic-core.db"
"""Where the store that ships with the product keeps its file when nothing is said."""
_FILE_STORE = "sqlite"
"""The store whose path is a file, so that asking a missing one is a slip of the pen and
not a new index.
"""

db_option = click.option(
    "--db", metavar="PATH", help="The index to use. Default: as configured, else semantic-core.db."
)
tenant_option = click.option(
    "--tenant", metavar="NAME", help="Whose documents, in an index that keeps tenants apart."
)
collection_option = click.option(
    "--collection",
    metavar="NAME",
    default=COLLECTION,
    show_default=True,
    help="The collection the documents belong to.",
)
collections_option = click.option(
    "--collection",
    "collections",
    metavar="NAME",
    multiple=True,
    help="Only this collection; repeatable.",
)
offset_option = click.option(
    "--offset", type=click.IntRange(min=0), default=0, help="Leave out the first ones."
)
where_option = click.option(
    "--where",
    "where",
    metavar="CONDITION",
    multiple=True,
    callback=lambda _context, _option, values: parse_where(values),
    help=(
        "Only documents whose metadata meet it: lang=en, year>=2020, draft!=true; "
        "repeatable, all must hold."
    ),
)


def consent_option(question: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--yes``: nothing is done before somebody has said so, here or when asked `question`.

    Raises InputError where nobody can be asked.
    """

    def asked(context: click.Context, option: click.Parameter, given: bool) -> None:
        if given or context.resilient_parsing:
            return
        try:
            answer = click.confirm(question, err=True)
        except click.Abort:
            if is_terminal(sys.stdin):
                raise
            click.echo(err=True)  # ends the line of the question
            raise InputError(
                "Nobody is there to be asked, and nothing was done.", hint="Say it with --yes."
            ) from None
        if not answer:
            raise click.Abort

    return click.option(
        "--yes", is_flag=True, expose_value=False, callback=asked, help="Do it without asking."
    )


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``, under which standard output holds the answer and nothing else."""

    @wraps(command)
    def answering(*args: Any, as_json: bool, **options: Any) -> Any:
        with answers_alone() if as_json else nullcontext():
            return command(*args, as_json=as_json, **options)

    text = "Answer as JSON on standard output, for programs."
    return click.option("--json", "as_json", is_flag=True, help=text)(answering)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--db`` and ``--json``, which every command has."""
    return db_option(json_option(command))


@contextmanager
def opened(
    db: str | None, tenant: str | None = None, *, create: bool = False
) -> Iterator[SemanticCore]:
    """The index the options, the environment and the settings file mean, closed afterwards.

    With a tenant, its front door. A plugin that is broken is told of on standard error.

    create: make a new one where there is none; otherwise that raises StoreUnavailable. A new one
    keeps tenants apart if the settings say so, or if they say nothing and a tenant is named.
    """
    from semantic_core._config import read_config
    from semantic_core._plugins.records import UNFIT
    from semantic_core.core import SemanticCore

    settings = read_config(overrides={"path": db})
    if tenant is not None:
        named("--tenant", tenant)
    apart = settings.values["multi_tenant"]
    if not create:
        refuse_missing(settings)
    elif is_missing(settings):
        if apart and tenant is None:
            raise TenantRequired("The new index is to keep tenants apart.")
        if apart is False and tenant is not None:
            raise TenantRefused("The new index is not to keep tenants apart.")
        apart = apart or (True if tenant is not None else None)
    with SemanticCore.from_config(path=db, multi_tenant=apart) as core:
        for info in core.plugins():
            if info.status in UNFIT:
                note(
                    f"The plugin {visible(info.name)} is {info.status} and takes no part; see: "
                    "semantic-core plugins list"
                )
        yield core if tenant is None else core.tenant(tenant)


def is_missing(settings: Settings) -> bool:
    """Whether the settings name a file that is not there."""
    path = file_of(settings)
    return path is not None and not path.exists()


def refuse_missing(settings: Settings) -> None:
    """StoreUnavailable, if the settings name a file that is not there."""
    if is_missing(settings):
        raise StoreUnavailable(
            f"There is no index at {str(file_of(settings))!r}.",
            hint="Make one with: semantic-core ingest FOLDER, or name another with --db.",
        )


def file_of(settings: Settings) -> Path | None:
    """The file the index is in; None for a store that is no file."""
    values = settings.values
    if values["store"] != _FILE_STORE:
        return None
    return Path(values["path"] or DEFAULT_PATH)


def named(option: str, value: str) -> str:
    """The value itself, if it can be a name; else InputError."""
    from semantic_core._validation import check_name

    return check_name(option, value)
