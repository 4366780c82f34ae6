"""Finds plugins: the kernel's own, installed ones, and given ones; each with its functions, or with
the reason why it cannot take part.

Installed plugins are entry points of the group ``semantic_core``. A plugin that fails stops no
other: whatever its import raises becomes a cause in one line.

Tested by tests/plugins/test_discovery.py.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import attrs

from semantic_core._plugins.distributions import (
    FAMILY,
    KERNEL,
    field_of,
    install,
    installs,
    lacking,
    normalized,
    not_installed,
    version_of,
)
from semantic_core._plugins.options import RESERVED, GivenOptions
from semantic_core._plugins.records import PluginInfo, PluginRecord, PluginRejected
from semantic_core._plugins.validation import examined
from semantic_core._validation import clip, did_you_mean, one_line, plain_name
from semantic_core.errors import ConfigError, PluginBroken, PluginConflict, PluginError
from semantic_core.hookspecs import PROJECT

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

NO_OPTIONS = GivenOptions()
NOBODY: Mapping[str, str] = {}
_BY_NAME = attrgetter("info.name", "info.distribution")
"""The order in which plugins are asked and listed."""


ALL_INSTALLED = "*"
"""Stands for every installed plugin in a list of plugins."""


@cache
def built_in() -> tuple[PluginRecord, ...]:
    """The kernel's own plugins, in the order in which they are asked; the same for all clients."""
    from semantic_core._plugins.builtin import default_plugins

    version = version_of(KERNEL)
    records = []
    for name, plugin in default_plugins():
        info = PluginInfo(name, version, KERNEL, origin="built in")
        records.append(examined(info, plugin))
    return tuple(records)


def installed(
    wanted: Collection[str] | None,
    reserved: Collection[str],
    options: GivenOptions = NO_OPTIONS,
    dead: Mapping[str, str] = NOBODY,
) -> list[PluginRecord]:
    """Every installed plugin in order of name; those that cannot take part have a cause.

    wanted: the names to use, the others are disabled; None wants all. reserved: names of the
    kernel's own plugins. options: of the plugins. A plugin whose options are refused is broken, and
    its record has the error. dead: why plugins are not imported, by name.
    """
    everyone = sorted(claims(), key=_BY_NAME)
    loaded: dict[int, tuple[str, object]] = {}
    records = []
    for claim in everyone:
        try:
            _check_name(claim, everyone, wanted, reserved)
            claim.check_alive(dead)
            plugin = claim.load()
            # The object is stored along with its name, so that no other can get its id.
            first, _ = loaded.setdefault(id(plugin), (claim.info.name, plugin))
            if first != claim.info.name:
                cause = f"it is the very same object as plugin {first!r}"
                raise PluginRejected(cause, "Name it once in the entry points.")
            records.append(examined(claim.info, plugin, options.of(claim.info.name)))
        except PluginRejected as rejected:
            records.append(PluginRecord(_marked(claim.info, rejected)))
        except ConfigError as refused:
            records.append(_refused(claim.info, refused))
        except KeyboardInterrupt as interrupted:
            who = f"{claim.info.name!r} of {claim.info.distribution}"
            interrupted.add_note(f"while the plugin {who} was imported")
            raise
    return records


def installed_names() -> list[str]:
    """The names of the installed plugins, none of which is imported."""
    return sorted(claim.info.name for claim in claims())


def wanted_by_environment() -> list[str] | None:
    """The plugins that SEMANTIC_CORE_PLUGINS names; None if it is not set."""
    setting = os.environ.get("SEMANTIC_CORE_PLUGINS")
    if setting is None:
        return None
    names = [name.strip() for name in setting.split(",") if name.strip()]
    return [] if len(names) == 1 and names[0].lower() == "none" else names


def missing(names: Iterable[str], found: Sequence[PluginRecord]) -> list[PluginInfo]:
    """A broken entry for each wanted name that no installed distribution offers."""
    there = [record.info.name for record in found]
    infos = []
    for name in sorted(set(names) - set(there)):
        near = did_you_mean(name, there)
        cause = f"no installed distribution offers a plugin of that name.{near}"
        other = "Correct the name; semantic-core plugins list shows those that are installed."
        remedy = installs(name) or other
        infos.append(PluginInfo(name, status="broken", cause=cause, remedy=remedy))
    return infos


def given(
    plugins: Sequence[object | str],
    reserved: Collection[str],
    options: GivenOptions = NO_OPTIONS,
    dead: Mapping[str, str] = NOBODY,
) -> list[PluginRecord]:
    """Exactly these plugins, in order of name.

    An object that cannot take part raises an error, unlike an installed plugin, because the caller
    can correct it. A str is the name of an installed plugin, or "*" for all of them; installed ones
    that are not named are listed as disabled. options: of the plugins. dead: as for `installed`.
    Raises PluginBroken, PluginConflict; ConfigError for options that an object does not take.
    """
    if isinstance(plugins, str) or not isinstance(plugins, Sequence):
        raise PluginBroken(
            f"plugins must be a sequence of names and objects, got {clip(plugins)}.",
            hint="Use [...].",
        )
    names = []
    objects = []
    for plugin in plugins:
        if isinstance(plugin, str):
            names.append(plugin)
        else:
            objects.append(plugin)
    wanted = None if ALL_INSTALLED in names else names
    records = installed(wanted, reserved, options, dead) if names else []
    names = [name for name in names if name != ALL_INSTALLED]
    for absent in missing(names, records):
        what = f"The plugin {absent.name!r} was asked for: {absent.cause}"
        raise PluginBroken(what, hint=absent.remedy)
    for plugin in objects:
        name = str(getattr(plugin, "__name__", None) or type(plugin).__name__)
        try:
            info = PluginInfo(name, origin="given")
            records.append(examined(info, plugin, options.of(name)))
        except PluginRejected as rejected:
            what = f"The plugin {name!r} cannot take part: {rejected.message}"
            raise PluginBroken(what, hint=rejected.hint) from rejected
    used = [record.info.name for record in records if record.info.status == "ok"]
    for name, count in Counter([*used, *reserved]).items():
        if count > 1:
            raise PluginConflict(
                f"Two plugins are called {name!r}.", hint="Give one of them another __name__."
            )
    return sorted(records, key=_BY_NAME)


class EntryClaim(NamedTuple):
    """An entry point of our group. trouble: why it cannot even be read."""

    info: PluginInfo
    point: EntryPoint | None
    trouble: str = ""

    def check_alive(self, dead: Mapping[str, str]) -> None:
        """Raise PluginRejected for a plugin whose import would end this process."""
        cause = dead.get(self.info.name)
        if cause:
            raise PluginRejected(cause, self._pip("--upgrade"))

    def load(self) -> object:
        """The module or object, imported. Raises PluginRejected if that fails in any way."""
        if self.point is None:
            raise PluginRejected(self.trouble, self._pip("--force-reinstall"))
        try:
            return self.point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an import may do anything, call sys.exit() too
            _check_that_files_open()
            raise self._rejected(error, self.point) from error

    def _rejected(self, error: BaseException, point: EntryPoint) -> PluginRejected:
        """Why the import failed, and the command or step that corrects it."""
        if isinstance(error, SystemExit):
            cause = f"it called sys.exit({clip(error.code)}) while it was imported"
        elif isinstance(error, SyntaxError):
            place = f"{_tail(str(error.filename))}, line {error.lineno}"
            cause = f"syntax error in {place}: {error.msg}"
        elif isinstance(error, ModuleNotFoundError) and isinstance(error.name, str):
            return self._without_module(error.name, point)
        elif isinstance(error, AttributeError) and _leads_nowhere(point):
            return PluginRejected(
                f"its entry point is {point.value!r}, and {point.module} has no {point.attr!r}",
                f"Correct the entry point in {self.info.distribution}'s pyproject.toml and "
                "install it again.",
            )
        else:
            cause = one_line(error)
            absent = {}
            if isinstance(error, ImportError):
                absent = not_installed(self.info.distribution)
            if absent:
                causes = [f"{name} is not installed" for name in absent]
                return PluginRejected("; ".join([cause, *causes]), install(absent.values()))
            cause += _place(error)
        return PluginRejected(cause, self._pip("--upgrade"))

    def _without_module(self, module: str, point: EntryPoint) -> PluginRejected:
        own = point.value.partition(":")[0].partition(".")[0].strip()
        if module.partition(".")[0] == own:
            cause = f"its own module {module!r} is not there"
            return PluginRejected(cause, self._pip("--force-reinstall"))
        cause = f"it needs the module {module!r}, which is not installed"
        return PluginRejected(cause, lacking(module, self.info.distribution))

    def _pip(self, option: str) -> str:
        return f"pip install {option} {self.info.distribution}"


def claims() -> Iterator[EntryClaim]:
    """The entry points of our group, of each distribution once: the first on the path counts."""
    from importlib_metadata import distributions

    _check_that_files_open()
    seen = set()
    for distribution in distributions():
        points = []
        trouble = ""
        try:
            for point in distribution.entry_points:
                if point.group == PROJECT:
                    points.append(point)
        except Exception as error:  # noqa: BLE001
            # Another distribution's damaged files must not stop ours.
            points = []
            trouble = f"its entry points cannot be read: {one_line(error)}"
        if not points and not trouble:
            continue
        name = field_of(distribution, "Name")
        version = field_of(distribution, "Version")
        if not name and points:
            name = re.split(r"[.:]", points[0].value)[0].strip().replace("_", "-")
        key = normalized(name)
        foreign_trouble = trouble and not key.startswith(FAMILY)
        if key in seen or foreign_trouble:
            continue
        seen.add(key)
        if trouble:
            yield EntryClaim(PluginInfo(name, version, name), None, trouble)
        for point in points:
            yield EntryClaim(PluginInfo(point.name, version, name), point)
    _check_that_files_open()


def _check_that_files_open() -> None:
    """Raise PluginError if no file descriptor is free.

    Every folder of packages would look empty then, and every import would fail, with plugins that
    are not to blame.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise PluginError(
            f"Installed plugins cannot be searched: {error.strerror}.",
            hint="Close files that are not used, or allow more open files (ulimit -n).",
        ) from error


def _check_name(
    claim: EntryClaim,
    everyone: Sequence[EntryClaim],
    wanted: Collection[str] | None,
    reserved: Collection[str],
) -> None:
    """Raise PluginRejected for a plugin that is left out or may not have its name."""
    name = claim.info.name
    if wanted is not None and name not in wanted:
        cause = "left out by the plugins setting (SEMANTIC_CORE_PLUGINS, or plugins)"
        raise PluginRejected(cause, f"Add {name} to that setting, or unset it.", "disabled")
    uninstall = f"pip uninstall {claim.info.distribution}"
    namesakes = [other for other in everyone if other.info.name == name]
    if len(namesakes) > 1:
        who = " and ".join(sorted({other.info.distribution for other in namesakes}))
        cause = f"more than one plugin is called {name!r} ({who}); none of them is used"
        raise PluginRejected(cause, uninstall)
    if name in reserved:
        raise PluginRejected("its name is one of the kernel's own", uninstall)
    if plain_name(name) == RESERVED:
        cause = f"its name is that of a setting: {RESERVED}, in the table of plugins"
        raise PluginRejected(cause, uninstall)


def _leads_nowhere(point: EntryPoint) -> bool:
    """Whether the module of an entry point was imported and lacks the named object."""
    if point.pattern.match(point.value) is None:  # it names no module
        return False
    value = sys.modules.get(point.module)
    if not value or not point.attr:
        return False
    for name in point.attr.split("."):
        if not hasattr(value, name):
            return True
        value = getattr(value, name)
    return False


def _tail(path: str) -> str:
    return "/".join(re.split(r"[\\/]", path)[-2:])


def _place(error: BaseException) -> str:
    """`` (file:line)`` where an error was raised, if that is in a file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    file = trace.tb_frame.f_code.co_filename
    return "" if file.startswith("<") else f" ({_tail(file)}:{trace.tb_lineno})"


def _refused(info: PluginInfo, error: ConfigError) -> PluginRecord:
    """The record of a plugin whose options are refused."""
    step = error.hint or "Correct the options in the settings."
    broken = attrs.evolve(info, status="broken", cause=error.message.removesuffix("."), remedy=step)
    return PluginRecord(broken, refused=error)


def _marked(info: PluginInfo, rejected: PluginRejected) -> PluginInfo:
    """The info of a plugin that was rejected, with the step for its author and its users."""
    step = rejected.hint
    if rejected.status != "disabled" and info.distribution and not step.startswith("pip "):
        step = f"{step} Not yours? pip install --upgrade {info.distribution}"
    return attrs.evolve(
        info,
        status=rejected.status,
        cause=rejected.message,
        remedy=step,
        api_version=rejected.api_version,
    )
