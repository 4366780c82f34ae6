"""``semantic-core doctor``: check the installation, the settings, the plugins and the index.

Each finding is a line with a status, the part that was checked, and what to do about a problem.

Tested by tests/cli/test_setup.py, tests/cli/test_plugged.py and tests/cli/test_models.py.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec

import attrs
import click

from semantic_core.cli._app import VARIABLE, app_option, application
from semantic_core.cli._group import DEBUG, GAP
from semantic_core.cli._options import common, embedder_settings, file_of, is_missing
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
    PluginBroken,
    PluginConflict,
    SemanticCoreError,
    SpaceMismatch,
    StoreCorrupt,
    StoreReadOnly,
)

if TYPE_CHECKING:
    from semantic_core._config import Settings
    from semantic_core.core import SemanticCore

P = ParamSpec("P")
Status = Literal["ok", "note", "problem"]
_NONE_YET = "there is none yet at"
_DAMAGED = (
    "An index of models: delete the file with its -wal and -shm while no process has it open; it "
    "is rebuilt from the rows. An index of ingested documents: restore a backup."
)
"""What to do about a damaged file."""


@attrs.frozen
class Finding:
    """One line of the report.

    part: what was checked. message: the result. remedy: what to do; "" if there is nothing to do.
    """

    part: str
    status: Status
    message: str
    remedy: str = ""


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="First rebuild the full-text index and other derived data; nothing is embedded again.",
)
@app_option
@common
@click.pass_context
def doctor(
    context: click.Context, repair: bool, app: str | None, as_json: bool, db: str | None
) -> None:
    """Check Python, the installed packages, the settings, the plugins and the index.

    With --app, check the index of an application and each of its models; without it, the index
    that --db or the settings name. Exit code 1 if a problem was found. Without --repair nothing is
    changed.
    """
    if app and db:
        given = context.get_parameter_source("app")
        if given is click.core.ParameterSource.COMMANDLINE:
            raise InputError("--app names an application with its own index.", hint="Omit --db.")
        app = None
    findings = []
    for finding in _findings(db, app, repair):
        findings.append(finding)
        if not as_json:
            _show(finding)
    problems = sum(finding.status == "problem" for finding in findings)
    if as_json:
        found = [attrs.asdict(finding) for finding in findings]
        write_json({"healthy": not problems, "findings": found})
    else:
        write(_verdict(findings, problems))
    if problems:
        context.exit(GAP)


def _verdict(findings: list[Finding], problems: int) -> str:
    if problems:
        return f"{counted(problems, 'problem')} found."
    if any(finding.message.startswith(_NONE_YET) for finding in findings):
        return "No problem found; there is no index to check."
    return "No problem found."


_MARGIN = 19
"""Columns of a line before the message: those of status and part."""
_COLOURS: dict[Status, str] = {"ok": "green", "note": "yellow", "problem": "red"}


def _show(finding: Finding) -> None:
    """Print a finding, and what to do about it on a line of its own."""
    label = finding.status.ljust(8)
    lines = fitted(f"{label} {finding.part.ljust(9)} {visible(finding.message)}", indent=_MARGIN)
    if styled():
        lines = click.style(label, fg=_COLOURS[finding.status]) + lines.removeprefix(label)
    write(lines)
    if finding.remedy:
        write(fitted(f"{'':{_MARGIN}}do: {visible(finding.remedy)}", indent=_MARGIN))


def _findings(db: str | None, app: str | None, repair: bool) -> Iterator[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("python", "ok", f"{python}, {platform.platform()}")
    encoding = standard_output().encoding or ""
    if encoding.lower().replace("-", "") != "utf8":
        message = f"standard output is {encoding}: other characters are shown as escapes"
        yield Finding("terminal", "note", message, "Set PYTHONUTF8=1.")
    settings: list[Settings] = []
    dead: dict[str, str] = {}
    yield from _guarded("settings", _settings, db, settings)
    yield from _guarded("plugins", _plugins, settings, dead)
    if dead:
        names = ", ".join(dead)
        message = f"index and embedder were not checked: every process that imports {names} ends"
        remedy = "Uninstall it, or name the plugins to use: SEMANTIC_CORE_PLUGINS=NAME,NAME"
        yield Finding("index", "problem", message, remedy)
    elif app:
        yield from _guarded("app", _application, app, repair)
    elif settings:
        yield from _guarded("index", _index, settings[0], db, repair)


def _guarded(
    part: str, check: Callable[P, Iterator[Finding]], *args: P.args, **options: P.kwargs
) -> Iterator[Finding]:
    """The findings of one check; an error becomes a finding, so that the next check can run."""
    try:
        yield from check(*args, **options)
    except SemanticCoreError as error:
        remedy = _DAMAGED if isinstance(error, StoreCorrupt) else error.hint
        if isinstance(error, SpaceMismatch):
            part = "space"
        yield Finding(part, "problem", error.message, remedy)
    except Exception as error:  # noqa: BLE001 - whatever is broken, the other checks still run
        remedy = f"{DEBUG}=1 with another command shows the traceback."
        yield Finding(part, "problem", f"{type(error).__name__}: {error}", remedy)


def _settings(db: str | None, into: list[Settings]) -> Iterator[Finding]:
    from semantic_core._config import read_config

    settings = read_config(overrides={"path": db})
    into.append(settings)
    changed = []
    for key, _, source in settings.items():
        if source != "default":
            changed.append(f"{key} ({source})")
    yield Finding("settings", "ok", f"set: {', '.join(changed)}" if changed else "all defaults")


def _plugins(settings: list[Settings], dead: dict[str, str]) -> Iterator[Finding]:
    """The plugins, each imported in a process of its own before. dead: gets why plugins end every
    process that imports them, by name.
    """
    from semantic_core._plugins.distributions import KERNEL
    from semantic_core._plugins.host import Plugins
    from semantic_core.cli._plugged import causes, probes_of
    from semantic_core.cli.plugins import peculiarities

    names = settings[0].values["plugins"] if settings else None
    options = settings[0].values["plugin_options"] if settings else None
    probes = probes_of(names)
    dead.update(causes(probes))
    infos = Plugins.load(names, options, refuse=False, dead=dead).infos
    distributions = {KERNEL: None}
    working = []
    disabled = []
    problems = []
    for info in infos:
        if info.distribution:
            distributions[info.distribution] = None
        if info.status == "ok":
            working.append(info.name)
        elif info.status == "disabled":
            disabled.append(info.name)
        else:
            message = f"{info.name} is {info.status}: {info.cause}"
            problems.append(Finding("plugins", "problem", message, info.remedy))
    yield from _parts(list(distributions))
    yield from problems
    yield Finding("plugins", "ok", ", ".join(working) or "none")
    for probe in probes:
        for told in peculiarities(probe):
            yield Finding("plugins", "note", told)
    if disabled:
        yield Finding("plugins", "note", f"disabled by the settings: {', '.join(disabled)}")


def _parts(distributions: list[str]) -> Iterator[Finding]:
    """The versions of these distributions and of what they require."""
    from importlib_metadata import PackageNotFoundError, version

    wanted = set(distributions)
    for name in distributions:
        wanted |= _required_by(name)
    versions = []
    for name in sorted(wanted):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("parts", "problem", f"{name} is not installed", f"pip install {name}")
    yield Finding("parts", "ok", ", ".join(versions))


_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The name of a distribution at the beginning of a requirement."""


def _required_by(distribution: str) -> set[str]:
    """The distributions that one needs in every environment and without an extra."""
    from importlib_metadata import PackageNotFoundError, requires

    try:
        requirements = requires(distribution) or []
    except PackageNotFoundError:
        return set()
    names = set()
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match and ";" not in requirement:
            names.add(match[0])
    return names


def _index(settings: Settings, db: str | None, repair: bool) -> Iterator[Finding]:
    """The index that --db or the settings name, and its embedder."""
    from semantic_core.core import SemanticCore

    file = file_of(settings)
    try:
        if is_missing(settings):
            yield Finding(
                "index",
                "note",
                f"{_NONE_YET} {str(file)!r}, so it was not checked",
                "semantic-core ingest FOLDER creates one. To check that of an application's "
                f"models: semantic-core doctor --app MODULE:NAME, or set {VARIABLE}.",
            )
            with SemanticCore(store="memory", **embedder_settings(settings)) as core:
                yield from _guarded("embedder", _embedder, core)
        else:
            with SemanticCore.from_config(path=db) as core:
                yield from _guarded("index", _store, core, file, repair)
                yield from _guarded("embedder", _embedder, core)
                yield from _guarded("coverage", _coverage, core)
    except (PluginBroken, PluginConflict):
        # The check of the plugins has reported this already.
        message = "index and embedder were not checked: a plugin that the settings name is not used"
        yield Finding("index", "note", message)


def _application(app: str, repair: bool) -> Iterator[Finding]:
    """The index of an application, its embedder, and the indexes of its models."""
    from semantic_core.orm.databases import adapters_in, moved_into_memory

    with application(app) as core:
        adapters = adapters_in(core)
        in_memory = moved_into_memory(core)
        if not (adapters and in_memory.keys() >= adapters.keys()):
            path = getattr(core.store, "path", None)
            file = None if path is None else Path(path)
            yield from _guarded("index", _store, core, file, repair)
        yield from _guarded("embedder", _embedder, core)
        yield from _guarded("coverage", _coverage, core)
        yield from _guarded("models", _models, core, app)


def _models(core: SemanticCore, app: str) -> Iterator[Finding]:
    """The triggers and the pending changes of each model's index, and what is left of others."""
    from semantic_core.orm.databases import adapters_in, databases_of, moved_into_memory
    from semantic_core.orm.leftovers import leftovers

    in_memory = moved_into_memory(core)
    for name, adapter in sorted(adapters_in(core).items()):
        status = adapter.status()
        if name in in_memory:
            message = f"{name} is in memory: {in_memory[name]}"
            remedy = "To store it in a file, set path= or SEMANTIC_CORE_PATH."
            yield Finding("models", "note", message, remedy)
        if not status.capturing:
            message = f"{name}: its triggers are missing, so changes are not recorded"
            yield Finding("models", "problem", message, "Call init_database(...) again.")
        if status.aborted:
            message = f"{name}: {counted(status.aborted, 'change')} given up"
            remedy = f"semantic-core outbox status --app {app} shows the reasons."
            yield Finding("models", "problem", message, remedy)
        if status.last_error:
            yield Finding("models", "problem", f"{name}: {status.last_error}")
        pending = f"{counted(status.waiting, 'change')} pending"
        yield Finding("models", "ok", f"{name} of {status.model}: {pending}")
    for database in databases_of(core):
        for left in leftovers(database):
            triggers = counted(left.triggers, "trigger")
            message = f"{left.collection}, which no model declares: {triggers} left"
            remedy = f"semantic-core outbox forget {left.collection} --app {app}"
            yield Finding("models", "problem", message, remedy)


def _store(core: SemanticCore, file: Path | None, repair: bool) -> Iterator[Finding]:
    """The size of the index, whether it can be written, its content, and its vector space."""
    stats = core.stats(all_tenants=True)
    where = f"{str(file)!r}: " if file is not None else ""
    size = f"{counted(stats.documents, 'document')}, {counted(stats.chunks, 'passage')}"
    yield Finding("index", "ok", f"{where}{size}")
    if stats.details:
        details = [f"{name} {value}" for name, value in stats.details.items()]
        yield Finding("store", "ok", ", ".join(details))
    if file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        yield Finding("index", "note", "it cannot be written: searching works, ingesting does not")
    if stats.pending:
        message = (
            f"{counted(stats.pending, 'passage')} without a vector: full-text search finds "
            "them, semantic search does not"
        )
        yield Finding("index", "problem", message, "Run the ingest again.")
    yield from _comparisons(core)
    for message in getattr(core.store, "notes", list)():
        yield Finding("store", "note", message)
    yield from _guarded("index", _content, core, repair)
    if stats.space == core.embedder.space:
        yield Finding("space", "ok", str(stats.space))
    else:
        message = f"{stats.space} in the index, {core.embedder.space} in use"
        yield Finding("space", "problem", message, "Use the embedder of the index.")


def _comparisons(core: SemanticCore) -> Iterator[Finding]:
    """Collections whose rows have not all been compared with the index yet."""
    from semantic_core.orm import unfinished_comparisons

    remedy = "The running application does this; or: semantic-core worker --once --app MODULE:NAME"
    for collection, reason in unfinished_comparisons(core.store):
        yield Finding("index", "problem", f"{collection}: {reason}", remedy)


def _content(core: SemanticCore, repair: bool) -> Iterator[Finding]:
    """The store's check of its own content, or its repair, if it offers them.

    Both return the problems that are left.
    """
    check = getattr(core.store, "repair" if repair else "check", None)
    if check is None:
        if repair:
            message = f"{type(core.store).__name__} does not support repairs"
            yield Finding("index", "problem", message, "Ingest again.")
        return
    try:
        problems = list(map(str, check()))
    except StoreReadOnly:
        yield Finding("index", "note", "its content cannot be checked while it cannot be written")
        return
    remedy = "semantic-core doctor --repair"
    if repair:
        yield Finding("index", "ok", "all derived data was rebuilt")
        remedy = f"Ingest these documents again, or: {_DAMAGED}"
    for problem in problems:
        yield Finding("index", "problem", problem, remedy)
    if not problems:
        yield Finding("index", "ok", "its content is consistent")


def _embedder(core: SemanticCore) -> Iterator[Finding]:
    """Whether the embedder answers, with one query."""
    from time import perf_counter

    from semantic_core.types import WORDS_ONLY

    model = core.embedder.space.model
    if model == WORDS_ONLY:
        yield Finding("embedder", "ok", "none: full-text search only, as the settings say")
        return
    started = perf_counter()
    vector = core.embedder.embed_query("Is anyone there?")
    seconds = perf_counter() - started
    yield Finding("embedder", "ok", f"{model} works: {len(vector)} numbers in {seconds:.2f} s")


def _coverage(core: SemanticCore) -> Iterator[Finding]:
    """Whether the embedder covers the languages of the texts."""
    from semantic_core.cli._coverage import uncovered

    found = uncovered(core)
    if found is not None:
        yield Finding("coverage", "note", found.message, found.remedy)
