"""``semantic-core doctor``: what is in order, what is not, and what to do about it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
import click

from semantic_core.cli._app import VARIABLE, app_option
from semantic_core.cli._group import GAP
from semantic_core.cli._options import common, file_of, is_missing
from semantic_core.cli._output import (
    counted,
    fitted,
    standard_output,
    styled,
    visible,
    write,
    write_json,
)
from semantic_core.errors import (
    InputError,
    SemanticCoreError,
    SpaceMismatch,
    StoreCorrupt,
    StoreReadOnly,
)

if TYPE_CHECKING:
    from semantic_core._config import Settings
    from semantic_core.core import SemanticCore

Status = Literal["ok", "note", "problem"]
_MARGIN = 19
"""Columns before what is told: status and part."""
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NONE_YET = "none yet at"
_DAMAGED = (
    "An index of models: remove the file with its -wal and -shm while nothing has it open; it is "
    "made anew from the rows. An index of ingested documents: restore a backup."
)
"""What to do about a file whose content contradicts itself."""
_COLOURS: dict[Status, str] = {"ok": "green", "note": "yellow", "problem": "red"}


@attrs.frozen
class Finding:
    """One line of the examination. part: what was looked at. remedy: what to do;
    "" when there is nothing to do.
    """

    part: str
    status: Status
    told: str
    remedy: str = ""


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="First make all that is derived from documents and vectors anew; no embedder is asked.",
)
@app_option
@common
@click.pass_context
def doctor(
    context: click.Context, repair: bool, app: str | None, as_json: bool, db: str | None
) -> None:
    """Look at Python, the installed parts, the settings, the plugins and the index.

    With --app at the index of an application's models, and at each of these; otherwise at the one
    that --db or the settings name. Exit code 1 if something is wrong. Without --repair nothing is
    changed, and no index is made.
    """
    if app and db:
        given = context.get_parameter_source("app")
        if given is click.core.ParameterSource.COMMANDLINE:
            raise InputError("--app names an application with an index of its own; leave --db out.")
        app = None
    findings = []
    for finding in _findings(db, app, repair):
        findings.append(finding)
        if not as_json:
            _show(finding)
    problems = sum(finding.status == "problem" for finding in findings)
    if as_json:
        write_json(
            {"healthy": not problems, "findings": [attrs.asdict(finding) for finding in findings]}
        )
    else:
        write(_verdict(findings, problems))
    if problems:
        context.exit(GAP)


def _verdict(findings: list[Finding], problems: int) -> str:
    if problems:
        return f"{counted(problems, 'problem')} found."
    if any(finding.told.startswith(_NONE_YET) for finding in findings):
        return "No problem found; there was no index to look at."
    return "Everything is in order."


def _findings(db: str | None, app: str | None, repair: bool) -> Iterator[Finding]:
    yield Finding(
        "python",
        "ok",
        f"{platform.python_implementation()} {platform.python_version()}, {platform.platform()}",
    )
    encoding = standard_output().encoding or ""
    if encoding.lower().replace("-", "") != "utf8":
        told = f"standard output is {encoding}: characters it lacks are shown as escapes"
        yield Finding("terminal", "note", told, "Set PYTHONUTF8=1.")
    settings: list[Settings] = []
    yield from _guarded("settings", lambda: _settings(db, settings))
    yield from _guarded("plugins", lambda: _plugins(settings))
    if app:
        yield from _guarded("app", lambda: _application(app, repair))
    elif settings:
        yield from _guarded("index", lambda: _index(settings[0], db, repair))


def _guarded(part: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a look at one part gives; an error becomes its finding,
    and the other parts are still looked at.
    """
    try:
        yield from look()
    except SemanticCoreError as error:
        yield Finding(
            "space" if isinstance(error, SpaceMismatch) else part,
            "problem",
            error.message,
            _DAMAGED if isinstance(error, StoreCorrupt) else error.hint,
        )
    except Exception as error:  # noqa: BLE001 - a doctor must not die of what it looks at
        yield Finding(
            part,
            "problem",
            f"{type(error).__name__}: {error}",
            "SEMANTIC_CORE_DEBUG=1 with another command shows more.",
        )


def _settings(db: str | None, into: list[Settings]) -> Iterator[Finding]:
    from semantic_core._config import read_config

    settings = read_config(overrides={"path": db})
    into.append(settings)
    changed = [f"{key} ({source})" for key, _, source in settings.items() if source != "default"]
    yield Finding("settings", "ok", f"set: {', '.join(changed)}" if changed else "all defaults")


def _plugins(settings: list[Settings]) -> Iterator[Finding]:
    from semantic_core._plugins.distributions import KERNEL
    from semantic_core._plugins.host import Plugins
    from semantic_core._plugins.records import UNFIT

    names = settings[0].values["plugins"] if settings else None
    infos = Plugins.load(names, refuse=False).infos
    distributions = dict.fromkeys(
        [KERNEL, *(info.distribution for info in infos if info.distribution)]
    )
    yield from _parts(list(distributions))
    for info in infos:
        if info.status in {*UNFIT, "conflict"}:
            yield Finding(
                "plugins", "problem", f"{info.name} is {info.status}: {info.cause}", info.remedy
            )
    working = [info.name for info in infos if info.status == "ok"]
    yield Finding("plugins", "ok", ", ".join(working) or "none")
    disabled = [info.name for info in infos if info.status == "disabled"]
    if disabled:
        yield Finding("plugins", "note", f"left out by the settings: {', '.join(disabled)}")


def _parts(distributions: list[str]) -> Iterator[Finding]:
    """The versions of these distributions and of what they require."""
    from importlib_metadata import PackageNotFoundError, requires, version

    wanted = dict.fromkeys(distributions)
    for name in distributions:
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            lines = []
        wanted.update(
            dict.fromkeys(
                match[0]
                for line in lines
                if ";" not in line and (match := _REQUIREMENT.match(line))
            )
        )
    versions = {}
    for name in wanted:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            yield Finding("parts", "problem", f"{name} is not installed", f"pip install {name}")
    yield Finding(
        "parts", "ok", ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    )


def _index(settings: Settings, db: str | None, repair: bool) -> Iterator[Finding]:
    from semantic_core.core import SemanticCore

    file = file_of(settings)
    if is_missing(settings):
        yield Finding(
            "index",
            "note",
            f"{_NONE_YET} {str(file)!r}, so none was looked at",
            "semantic-core ingest FOLDER makes one; to look at that of an application's models: "
            f"semantic-core doctor --app MODULE:NAME, or set {VARIABLE}.",
        )
        values = {
            key: settings.values[key]
            for key in ("embedder", "embedder_options", "max_chars", "plugins")
        }
        with SemanticCore(store="memory", **values) as core:
            yield from _guarded("embedder", lambda: _embedder(core))
        return
    with SemanticCore.from_config(path=db) as core:
        yield from _guarded("index", lambda: _store(core, file, repair))
        yield from _guarded("embedder", lambda: _embedder(core))


def _application(app: str, repair: bool) -> Iterator[Finding]:
    """The index of an application, and the indexes of its models."""
    from semantic_core.cli._app import application
    from semantic_core.orm.databases import adapters_in, moved_into_memory

    with application(app) as core:
        adapters = adapters_in(core)
        in_memory = moved_into_memory(core)
        if not (adapters and all(name in in_memory for name in adapters)):
            place = getattr(core.store, "path", None)
            file = None if place is None else Path(place)
            yield from _guarded("index", lambda: _store(core, file, repair))
        yield from _guarded("embedder", lambda: _embedder(core))
        yield from _guarded("models", lambda: _models(core, app))


def _models(core: SemanticCore, app: str) -> Iterator[Finding]:
    """What captures the changes of each index of a model, and what has gone wrong with them."""
    from semantic_core.orm.databases import adapters_in, databases_of, moved_into_memory
    from semantic_core.orm.leftovers import leftovers

    in_memory = moved_into_memory(core)
    for name, adapter in sorted(adapters_in(core).items()):
        status = adapter.status()
        if name in in_memory:
            told = f"{name} is in memory: {in_memory[name]}"
            yield Finding("models", "note", told, "To keep one: path=, or SEMANTIC_CORE_PATH.")
        if not status.capturing:
            told = f"{name}: its triggers are missing, so changes go unseen"
            yield Finding("models", "problem", told, "Call init_database(...) again.")
        if status.aborted:
            told = f"{name}: {counted(status.aborted, 'change')} given up"
            remedy = f"semantic-core outbox status --app {app} says why."
            yield Finding("models", "problem", told, remedy)
        if status.last_error:
            yield Finding("models", "problem", f"{name}: {status.last_error}")
        waiting = f"{counted(status.waiting, 'change')} waiting"
        yield Finding("models", "ok", f"{name} of {status.model}: {waiting}")
    for left in (each for one in databases_of(core) for each in leftovers(one)):
        told = (
            f"{left.collection}, which no model declares: {counted(left.triggers, 'trigger')} left"
        )
        remedy = f"semantic-core outbox forget {left.collection} --app {app}"
        yield Finding("models", "problem", told, remedy)


def _store(core: SemanticCore, file: Path | None, repair: bool) -> Iterator[Finding]:
    stats = core.stats(all_tenants=True)
    where = f"{str(file)!r}: " if file is not None else ""
    yield Finding(
        "index",
        "ok",
        f"{where}{counted(stats.documents, 'document')}, {counted(stats.chunks, 'passage')}",
    )
    if stats.details:
        yield Finding(
            "store", "ok", ", ".join(f"{name} {value}" for name, value in stats.details.items())
        )
    if file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        yield Finding("index", "note", "it cannot be written: searching works, ingesting does not")
    if stats.pending:
        told = (
            f"{counted(stats.pending, 'passage')} without a vector: words find "
            "them, meaning does not"
        )
        yield Finding("index", "problem", told, "Run the ingest again.")
    yield from _comparisons(core)
    for told in getattr(core.store, "notes", list)():
        yield Finding("store", "note", told)
    yield from _guarded("index", lambda: _content(core, repair))
    same = stats.space == core.embedder.space
    told = str(stats.space) if same else f"{stats.space} in the index, {core.embedder.space} in use"
    yield Finding(
        "space",
        "ok" if same else "problem",
        told,
        "" if same else "Name the embedder it was made with.",
    )


def _comparisons(core: SemanticCore) -> Iterator[Finding]:
    """Collections whose rows have not all been compared with the index yet."""
    from semantic_core.orm import unfinished_comparisons

    for collection, reason in unfinished_comparisons(core.store):
        told = f"{collection}: {reason}"
        yield Finding(
            "index",
            "problem",
            told,
            "Its application does so while it runs; or: semantic-core worker --once --app ...",
        )


def _content(core: SemanticCore, repair: bool) -> Iterator[Finding]:
    """What the store says of itself, if it can be asked: ``check() -> problems``,
    ``repair() -> problems left``.
    """
    look = getattr(core.store, "repair" if repair else "check", None)
    if look is None:
        if repair:
            yield Finding(
                "index",
                "problem",
                f"{type(core.store).__name__} cannot be repaired",
                "Ingest again.",
            )
        return
    try:
        problems = [str(problem) for problem in look()]
    except StoreReadOnly:
        yield Finding("index", "note", "its content can only be checked where it can be written")
        return
    if repair:
        yield Finding("index", "ok", "all that is derived was made anew")
    remedy = (
        f"Ingest these documents again, or: {_DAMAGED}"
        if repair
        else "semantic-core doctor --repair"
    )
    yield from (Finding("index", "problem", problem, remedy) for problem in problems)
    if not problems:
        yield Finding("index", "ok", "its content agrees with itself")


def _embedder(core: SemanticCore) -> Iterator[Finding]:
    from time import perf_counter

    from semantic_core.types import WORDS_ONLY

    if core.embedder.space.model == WORDS_ONLY:
        yield Finding("embedder", "ok", "none: search by words only, as the settings say")
        return
    started = perf_counter()
    vector = core.embedder.embed_query("Is anyone there?")
    spent = perf_counter() - started
    yield Finding(
        "embedder",
        "ok",
        f"{core.embedder.space.model} answers, {len(vector)} numbers in {spent:.2f} s",
    )


def _show(finding: Finding) -> None:
    label = finding.status.ljust(8)
    lines = fitted(f"{label} {finding.part.ljust(9)} {visible(finding.told)}", indent=_MARGIN)
    if styled():
        lines = click.style(label, fg=_COLOURS[finding.status]) + lines.removeprefix(label)
    write(lines)
    if finding.remedy:
        write(fitted(f"{'':{_MARGIN}}do: {visible(finding.remedy)}", indent=_MARGIN))
