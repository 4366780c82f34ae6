"""Finding plugins: the kernel's own, those installed, those handed over; each with its parts,
or why it has none.

Installed ones are reached by entry points of the group ``semantic_core``. One sick plugin stops
nothing: whatever its import does, short of ending the process from C, becomes a cause in one line.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import attrs

from semantic_core._plugins.distributions import (
    FAMILY,
    KERNEL,
    install,
    installs,
    lacking,
    told,
    unmet,
    version_of,
)
from semantic_core._plugins.records import PluginInfo, PluginRecord, PluginRejected
from semantic_core._plugins.validation import examined
from semantic_core._validation import clip, did_you_mean, one_line
from semantic_core.errors import PluginBroken, PluginConflict, PluginError
from semantic_core.hookspecs import PROJECT

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint


def built_in() -> list[PluginRecord]:
    """What the kernel does itself, in the order it is asked."""
    from semantic_core._plugins.builtin import default_plugins

    version = version_of(KERNEL)
    return [
        examined(PluginInfo(name, version, KERNEL, origin="built in"), plugin)
        for name, plugin in default_plugins()
    ]


def installed(wanted: Collection[str] | None, reserved: Collection[str]) -> list[PluginRecord]:
    """Every installed plugin in order of name; those in no state to take part say why.

    wanted: the names to use, the others are disabled; None wants all. reserved: names of the
    kernel's own.
    """
    claims = sorted(_claims(), key=lambda claim: (claim.info.name, claim.info.distribution))
    names = Counter(claim.info.name for claim in claims)
    seen: dict[int, tuple[str, object]] = {}
    found = []
    for claim in claims:
        try:
            if wanted is not None and claim.info.name not in wanted:
                left_out = "left out by the plugins setting (SEMANTIC_CORE_PLUGINS, or plugins)"
                raise PluginRejected(
                    left_out, f"Add {claim.info.name} to that setting, or unset it.", "disabled"
                )
            if names[claim.info.name] > 1:
                raise _twin(
                    claim, [other for other in claims if other.info.name == claim.info.name]
                )
            if claim.info.name in reserved:
                raise PluginRejected(
                    "its name is one of the kernel's own",
                    f"pip uninstall {claim.info.distribution}",
                )
            plugin = claim.load()
            first, _ = seen.setdefault(id(plugin), (claim.info.name, plugin))
            if first != claim.info.name:
                raise PluginRejected(
                    f"it is the very same object as plugin {first!r}",
                    "Name it once in the entry points.",
                )
            found.append(examined(claim.info, plugin))
        except PluginRejected as unfit:
            found.append(PluginRecord(_marked(claim.info, unfit)))
        except KeyboardInterrupt as interrupted:
            who = f"{claim.info.name!r} of {claim.info.distribution}"
            interrupted.add_note(f"while the plugin {who} was imported")
            raise
    return found


def missing(names: Iterable[str], found: Sequence[PluginRecord]) -> list[PluginInfo]:
    """A broken entry for each wanted name that no distribution offers."""
    there = [one.info.name for one in found]
    return [
        PluginInfo(
            name,
            status="broken",
            cause=(
                "no installed distribution offers a plugin of that "
                f"name.{did_you_mean(name, there)}"
            ),
            remedy=installs(name)
            or "Correct the name; semantic-core plugins list shows what there is.",
        )
        for name in sorted(set(names) - set(there))
    ]


def given(plugins: Sequence[object | str], reserved: Collection[str]) -> list[PluginRecord]:
    """Exactly these, in order of name. An object that cannot take part raises, unlike an installed
    plugin: whoever hands it over can mend it.

    A str is an installed plugin; the installed ones not named are then listed as disabled.
    Raises PluginBroken, PluginConflict.
    """
    if isinstance(plugins, str) or not isinstance(plugins, Sequence):
        raise PluginBroken(
            f"plugins must be a sequence of names and objects, got {clip(plugins)}.",
            hint="Use [...].",
        )
    names = [plugin for plugin in plugins if isinstance(plugin, str)]
    found = installed(names, reserved) if names else []
    for absent in missing(names, found):
        raise PluginBroken(
            f"The plugin {absent.name!r} was asked for: {absent.cause}", hint=absent.remedy
        )
    for plugin in plugins:
        if not isinstance(plugin, str):
            name = getattr(plugin, "__name__", None) or type(plugin).__name__
            try:
                found.append(examined(PluginInfo(str(name), origin="given"), plugin))
            except PluginRejected as unfit:
                raise PluginBroken(
                    f"The plugin {name!r} cannot take part: {unfit.message}", hint=unfit.hint
                ) from unfit
    used = [one.info.name for one in found if one.info.status == "ok"]
    for name, count in Counter([*used, *reserved]).items():
        if count > 1:
            raise PluginConflict(
                f"Two plugins are called {name!r}.", hint="Give one of them another __name__."
            )
    return sorted(found, key=lambda one: (one.info.name, one.info.distribution))


class _Claim(NamedTuple):
    """An entry point that wants to be a plugin. trouble: why it cannot even be read."""

    info: PluginInfo
    point: EntryPoint | None
    trouble: str = ""

    def load(self) -> object:
        """The module or object, imported. Unfit if that fails in any way."""
        if self.point is None:
            raise PluginRejected(
                self.trouble, f"pip install --force-reinstall {self.info.distribution}"
            )
        try:
            return self.point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an import may do anything, call sys.exit() too
            _check_that_files_open()
            raise self._unfit(error, self.point) from error

    def _unfit(self, error: BaseException, point: EntryPoint) -> PluginRejected:
        upgrade = f"pip install --upgrade {self.info.distribution}"
        if isinstance(error, SystemExit):
            return PluginRejected(
                f"it called sys.exit({clip(error.code)}) while it was imported", upgrade
            )
        if isinstance(error, SyntaxError):
            return PluginRejected(
                f"syntax error in {_tail(str(error.filename))}, line {error.lineno}: {error.msg}",
                upgrade,
            )
        if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str):
            if (
                error.name.partition(".")[0]
                == point.value.partition(":")[0].partition(".")[0].strip()
            ):
                again = f"pip install --force-reinstall {self.info.distribution}"
                return PluginRejected(f"its own module {error.name!r} is not there", again)
            return PluginRejected(
                f"it needs the module {error.name!r}, which is not installed",
                lacking(error.name, self.info.distribution),
            )
        if isinstance(error, AttributeError) and _leads_nowhere(point):
            return PluginRejected(
                f"its entry point is {point.value!r}, and {point.module} has no {point.attr!r}",
                (
                    f"Correct the entry point in {self.info.distribution}'s pyproject.toml and "
                    "install it again."
                ),
            )
        cause = one_line(error)
        needs = dict(unmet(self.info.distribution)) if isinstance(error, ImportError) else {}
        if needs:
            return PluginRejected("; ".join([cause, *needs.values()]), install(needs))
        return PluginRejected(f"{cause}{_place(error)}", upgrade)


def _claims() -> Iterator[_Claim]:
    from importlib_metadata import distributions

    _check_that_files_open()
    seen = set()
    for distribution in distributions():
        try:
            points = [point for point in distribution.entry_points if point.group == PROJECT]
            trouble = ""
        except Exception as error:  # noqa: BLE001
            # Another distribution's damaged files must not stop ours.
            points = []
            trouble = f"its entry points cannot be read: {one_line(error)}"
        if not points and not trouble:
            continue
        name = told(distribution, "Name")
        version = told(distribution, "Version")
        if not name and points:
            name = re.split(r"[.:]", points[0].value)[0].strip().replace("_", "-")
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen or (trouble and not key.startswith(FAMILY)):
            continue
        seen.add(key)
        if trouble:
            yield _Claim(PluginInfo(name, version, name), None, trouble)
        for point in points:
            yield _Claim(PluginInfo(point.name, version, name), point)
    _check_that_files_open()


def _check_that_files_open() -> None:
    """Without a free file descriptor every folder of packages looks empty, and every import fails:
    PluginError, since no plugin is to blame.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise PluginError(
            f"Plugins cannot be looked for: {error.strerror}.",
            hint="Close what is open and not used, or allow more open files (ulimit -n).",
        ) from error


def _leads_nowhere(point: EntryPoint) -> bool:
    """Whether the module of an entry point was imported and lacks what is to be in it."""
    if point.pattern.match(point.value) is None:  # it names no module
        return False
    found = sys.modules.get(point.module)
    for name in point.attr.split(".") if found and point.attr else ():
        if not hasattr(found, name):
            return True
        found = getattr(found, name)
    return False


def _tail(path: str) -> str:
    return "/".join(re.split(r"[\\/]", path)[-2:])


def _place(error: BaseException) -> str:
    """`` (file:line)`` where an error was raised, if that is in a file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename.startswith("<"):
        return ""
    return f" ({_tail(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"


def _twin(claim: _Claim, twins: Sequence[_Claim]) -> PluginRejected:
    who = " and ".join(sorted({twin.info.distribution for twin in twins}))
    cause = f"more than one plugin is called {claim.info.name!r} ({who}); none of them is used"
    return PluginRejected(cause, f"pip uninstall {claim.info.distribution}")


def _marked(info: PluginInfo, unfit: PluginRejected) -> PluginInfo:
    step = unfit.hint
    if unfit.status != "disabled" and info.distribution and not step.startswith("pip "):
        step = f"{step} Not yours? pip install --upgrade {info.distribution}"
    return attrs.evolve(
        info, status=unfit.status, cause=unfit.message, remedy=step, api_version=unfit.api_version
    )
