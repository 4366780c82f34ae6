"""Options that several commands share, and opening the index they name.

Tested by tests/cli/test_options.py, tests/cli/test_frame.py and tests/cli/test_bad_input.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semantic_core._validation import Scalar
from semantic_core.cli._group import NOT_USED
from semantic_core.cli._output import answers_alone, is_terminal, note, visible
from semantic_core.errors import (
    FilterInvalid,
    InputError,
    StoreUnavailable,
    TenantRefused,
    TenantRequired,
)
from semantic_core.filters import Condition, Filter
from semantic_core.types import INDEX_FILE

if TYPE_CHECKING:
    from semantic_core._config import Settings
    from semantic_core.core import SemanticCore


COLLECTION = "files"
"""The collection of ingested files if ``--collection`` is not given."""

db_option = click.option(
    "--db", metavar="PATH", help=f"Path of the index. Default: as configured, else {INDEX_FILE}."
)
tenant_option = click.option(
    "--tenant", metavar="NAME", help="The tenant to use, if the index separates tenants."
)
collection_option = click.option(
    "--collection",
    metavar="NAME",
    default=COLLECTION,
    show_default=True,
    help="The collection of the documents.",
)
collections_option = click.option(
    "--collection",
    "collections",
    metavar="NAME",
    multiple=True,
    help="Only this collection; repeatable.",
)
offset_option = click.option(
    "--offset", type=click.IntRange(min=0), default=0, help="Skip this many results."
)


# --where

_CONDITION = re.compile(
    r"\s*(?P<key>[^!=<>\s][^!=<>]*?)\s*(?P<operator>!=|>=|<=|=|>|<)\s*(?P<value>.*?)\s*", re.DOTALL
)
_NUMBER = re.compile(r"[+-]?(\d+|\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ORDERED = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def parse_where(conditions: Sequence[str]) -> Filter | None:
    """The filter for conditions such as ``year>=2020``, all of which must hold; None for none.

    What is typed has no type, so ``year=2020`` matches the number and the text. ``<`` and ``>``
    compare numbers if a number was typed, whole days for a date such as 2026-01-31, otherwise
    texts. Raises FilterInvalid.
    """
    parsed: list[Condition] = []
    for text in conditions:
        parsed += _condition(text).conditions
    return Filter(tuple(parsed)) if parsed else None


def _condition(text: str) -> Filter:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise FilterInvalid(
            f"--where needs a condition such as KEY=VALUE, got {text!r}.",
            hint="The operators are = != > >= < <=; quote the condition in a shell.",
        )
    key = match["key"]
    operator = match["operator"]
    value = match["value"]
    if not value and operator in _ORDERED:
        raise FilterInvalid(
            f"--where needs a value after {operator!r}, got {text!r}.",
            hint='For example --where "year>=2020".',
        )
    if operator in _ORDERED:
        bound = _day(value) or _number(value, otherwise=value)
        return Filter.parse({key: {_ORDERED[operator]: bound}})
    membership = "in" if operator == "=" else "not_in"
    return Filter.parse({key: {membership: _meanings(value)}})


def _day(value: str) -> date | None:
    """The date that was typed, as in 2026-01-31; None for anything else."""
    try:
        return date.fromisoformat(value) if len(value) == 10 else None
    except ValueError:
        return None


def _meanings(value: str) -> list[Scalar]:
    """Every value a program may have stored that a person would type like this."""
    meanings: list[Scalar] = [value]
    if value.lower() in ("true", "false"):
        meanings.append(value.lower() == "true")
    number = _number(value, otherwise=value)
    return meanings if isinstance(number, str) else [*meanings, number]


def _number(value: str, *, otherwise: Scalar) -> Scalar:
    """The number that was typed if every store can hold it, else `otherwise`."""
    if not _NUMBER.fullmatch(value):
        return otherwise
    number = int(value) if value.lstrip("+-").isdigit() else float(value)
    return number if abs(number) < 2**63 else otherwise


def _read_where(
    _context: click.Context, _option: click.Parameter, conditions: Sequence[str]
) -> Filter | None:
    return parse_where(conditions)


where_option = click.option(
    "--where",
    "where",
    metavar="CONDITION",
    multiple=True,
    callback=_read_where,
    help=(
        "Only documents with this metadata: lang=en, year>=2020, draft!=true; "
        "repeatable, all conditions must hold."
    ),
)


# --as


def _read_context(
    _context: click.Context, _option: click.Parameter, given: Sequence[str]
) -> dict[str, str]:
    read = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError(f"--as needs NAME=VALUE, such as user=ann, got {text!r}.")
        read[name] = value
    return read


as_option = click.option(
    "--as",
    "who",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_read_context,
    help="Who asks, for plugins that show each user other documents: user=ann; repeatable.",
)


# --yes and --json


def consent_option(question: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--yes``: without it the command asks `question` first, and does nothing on "no".

    Raises InputError if standard input is not a terminal and has no answer.
    """

    def ask(context: click.Context, option: click.Parameter, given: bool) -> None:
        if given or context.resilient_parsing:
            return
        try:
            answer = click.confirm(question, err=True)
        except click.Abort:
            if is_terminal(sys.stdin):
                raise
            click.echo(err=True)  # ends the line of the question
            raise InputError(
                "The command needs a confirmation, and nothing was done.",
                hint="Confirm it with --yes.",
            ) from None
        if not answer:
            raise click.Abort

    return click.option(
        "--yes", is_flag=True, expose_value=False, callback=ask, help="Do not ask for confirmation."
    )


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``, with which standard output contains the JSON and nothing else."""

    @wraps(command)
    def with_json(*args: Any, as_json: bool, **options: Any) -> Any:
        with answers_alone() if as_json else nullcontext():
            return command(*args, as_json=as_json, **options)

    text = "Print the result as JSON on standard output."
    return click.option("--json", "as_json", is_flag=True, help=text)(with_json)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--db`` and ``--json``, which every command about an index has."""
    return db_option(json_option(command))


# The index


@contextmanager
def opened(
    db: str | None, tenant: str | None = None, *, create: bool = False, reanalyse: bool = False
) -> Iterator[SemanticCore]:
    """Open the index that the options, the environment and the settings file name.

    tenant: return a client restricted to this tenant. create: create the index if it does not
    exist; otherwise that raises StoreUnavailable. A new index separates tenants if the settings say
    so, or if they say nothing and a tenant is given. reanalyse: make its full-text index anew if it
    was made with another analyser. A broken plugin is reported on standard error.
    """
    from semantic_core._config import read_config
    from semantic_core._plugins.records import UNFIT
    from semantic_core.core import SemanticCore

    settings = read_config(overrides={"path": db})
    if tenant is not None:
        named("--tenant", tenant)
    multi_tenant = settings.values["multi_tenant"]
    if not create:
        refuse_missing(settings)
    elif is_missing(settings):
        if multi_tenant and tenant is None:
            raise TenantRequired("The settings say that the new index separates tenants.")
        if multi_tenant is False and tenant is not None:
            raise TenantRefused("The settings say that the new index does not separate tenants.")
        if tenant is not None:
            multi_tenant = True
    with SemanticCore.from_config(path=db, multi_tenant=multi_tenant, reanalyse=reanalyse) as core:
        for info in core.plugins():
            if info.status in UNFIT:
                note(NOT_USED.format(name=visible(info.name), status=info.status))
        yield core if tenant is None else core.tenant(tenant)


def embedder_settings(settings: Settings) -> dict[str, Any]:
    """The settings for a core in memory with the same embedder and plugins."""
    keys = ("embedder", "embedder_options", "max_chars", "plugins", "plugin_options")
    return {key: settings.values[key] for key in keys}


def is_missing(settings: Settings) -> bool:
    """Whether the settings name a file that does not exist."""
    path = file_of(settings)
    return path is not None and not path.exists()


def refuse_missing(settings: Settings) -> None:
    """Raise StoreUnavailable if the settings name a file that does not exist."""
    if is_missing(settings):
        raise StoreUnavailable(
            f"There is no index at {str(file_of(settings))!r}.",
            hint=(
                "Create one with semantic-core ingest FOLDER, or name an existing one with --db."
            ),
        )


_FILE_STORE = "sqlite"
"""The store whose path is a file: if it is missing, the path is probably mistyped."""


def file_of(settings: Settings) -> Path | None:
    """The file of the index; None for a store that does not use a file."""
    values = settings.values
    if values["store"] != _FILE_STORE:
        return None
    return Path(values["path"] or INDEX_FILE)


def named(option: str, value: str) -> str:
    """The value itself if it is a valid name, else InputError."""
    from semantic_core._validation import check_name

    return check_name(option, value)
