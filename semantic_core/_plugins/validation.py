"""Checks whether an object can take part as a plugin; if not, gives the cause and the step that
corrects it.

pluggy accepts a misspelled hook, a forgotten decorator and an unknown parameter silently; here each
is refused.

Tested by tests/plugins/test_discovery.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import attrs

from semantic_core._plugins.distributions import KERNEL
from semantic_core._plugins.options import is_factory, read_options, refuse_options
from semantic_core._plugins.records import (
    OptionInfo,
    Part,
    PluginInfo,
    PluginRecord,
    PluginRejected,
)
from semantic_core._validation import clip, did_you_mean, nearest, one_line
from semantic_core.errors import ConfigError
from semantic_core.hookspecs import (
    API_VERSION,
    COLLECTED,
    ORDERS_ONLY,
    PREFIX,
    PROJECT,
    RERANK,
    hook_names,
    signature_of,
)

_MARK = f"{PROJECT}_impl"
"""The attribute with the options of ``@hookimpl``."""


def examined(
    info: PluginInfo, plugin: object, options: Mapping[str, Any] | None = None
) -> PluginRecord:
    """The record of a plugin with its functions. A class is instantiated first, and a function that
    is no hook called, with the given options. It takes part in nothing if that function returns
    None, because an option is not set without which there is nothing to do.

    Raises PluginRejected; ConfigError for options that it does not take.
    """
    infos: tuple[OptionInfo, ...] = ()
    try:
        if is_factory(plugin) and not _is_hook(plugin):
            plugin, infos = _made(info, plugin, options or {})
            if plugin is None:
                return PluginRecord(attrs.evolve(info, options=infos), (), None)
        else:
            _refuse(info, options or {})
        api_version = getattr(plugin, "SEMANTIC_CORE_API", API_VERSION)
        if not isinstance(api_version, int) or isinstance(api_version, bool):
            raise PluginRejected(
                f"SEMANTIC_CORE_API must be an int, got {clip(api_version)}",
                f"Write {API_VERSION}.",
                "incompatible",
            )
        if api_version != API_VERSION:
            own = info.distribution or info.name
            older = KERNEL if api_version > API_VERSION else own
            raise PluginRejected(
                f"it is written for version {api_version} of the hooks, this is {API_VERSION}",
                f"pip install --upgrade {older}",
                "incompatible",
                api_version,
            )
        parts = parts_of(plugin)
        _check_life_cycle(plugin)
    except (KeyboardInterrupt, PluginRejected):
        raise
    except _Refused as refused:
        raise refused.error from None
    except BaseException as error:  # attributes and constructors of a plugin may raise anything
        raise PluginRejected(
            f"it cannot be examined: {one_line(error)}", "Correct that."
        ) from error
    used = {part.hook for part in parts}
    hooks = tuple(hook for hook in hook_names() if hook in used)
    found = attrs.evolve(info, api_version=api_version, hooks=hooks, options=infos)
    return PluginRecord(found, parts, None if isinstance(plugin, ModuleType) else plugin)


class _Refused(Exception):
    """Options were refused, by us or by the plugin."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__()
        self.error = error


def _made(
    info: PluginInfo, factory: Any, options: Mapping[str, Any]
) -> tuple[object | None, tuple[OptionInfo, ...]]:
    try:
        values, infos = read_options(info.name, factory, options)
    except PluginRejected:
        raise
    except ConfigError as error:
        raise _Refused(error) from error
    try:
        return factory(**values), infos
    except ConfigError as error:
        if options:
            raise _Refused(error) from error
        cause = error.message.removesuffix(".")
        raise PluginRejected(cause, error.hint or "Correct that.") from error


def _refuse(info: PluginInfo, options: Mapping[str, Any]) -> None:
    try:
        refuse_options(info.name, options)
    except ConfigError as error:
        raise _Refused(error) from error


def _is_hook(plugin: object) -> bool:
    """Whether a function is a hook, or looks like one, so that it makes no plugin."""
    name = getattr(plugin, "__name__", "")
    return hasattr(plugin, _MARK) or (not isinstance(plugin, type) and name.startswith(PREFIX))


def _check_life_cycle(plugin: object) -> None:
    """Raise PluginRejected for an ``open`` or ``close`` that cannot be called."""
    if isinstance(plugin, ModuleType):
        return
    for name in ("open", "close"):
        if inspect.iscoroutinefunction(inspect.getattr_static(plugin, name, None)):
            raise PluginRejected(
                f"its {name} is async, and it is called without an event loop",
                "Write def instead of async def.",
            )


def parts_of(plugin: object) -> tuple[Part, ...]:
    """The functions that a plugin takes part with. One for a hook of a later release, marked
    optionalhook, is left out.

    Raises PluginRejected for the first that looks like a hook and is none.
    """
    parts = []
    foreign = False
    for name in dir(plugin):
        if name.startswith("__"):
            continue
        # Read without running properties. pluggy itself reads differently in each release.
        value = inspect.getattr_static(plugin, name, None)
        inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        options = getattr(value, _MARK, None) or getattr(inner, _MARK, None)
        if not isinstance(options, Mapping) or not callable(inner):
            _refuse_unmarked(plugin, name, inner)
            continue
        hook = options.get("specname") or name
        if hook in hook_names():
            part = Part(hook, getattr(plugin, name), options)
            _refuse_uncallable(name, part)
            parts.append(part)
        elif not options.get("optionalhook"):
            raise _misspelled(hook, "is marked as a hook, and no hook has that name")
        else:
            foreign = True
    if not parts and not foreign:
        step = (
            f"Mark its functions with @hookimpl (from {PROJECT} import hookimpl), or name the "
            "module they are in."
        )
        raise PluginRejected("it takes part in no hook", step)
    return tuple(parts)


def _refuse_unmarked(plugin: object, name: str, value: Any) -> None:
    """Raise PluginRejected for a function that looks like a hook and would never be called."""
    if not name.startswith(PREFIX) or value is None or hasattr(value, f"{PROJECT}_spec"):
        return
    if name in hook_names():
        raise PluginRejected(
            f"{name} is not marked as a hook",
            f"Write @hookimpl (from {PROJECT} import hookimpl) above it.",
        )
    home = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
    if inspect.isroutine(value) and getattr(value, "__module__", None) == home:
        raise _misspelled(name, f"begins with {PREFIX!r} as hooks do, and no hook has that name")


def _misspelled(name: str, what: str) -> PluginRejected:
    near = nearest(name, hook_names())
    step = f"Rename it; the hooks are {', '.join(hook_names())}."
    if near:
        step = f"Rename it to {near}."
    cause = f"{name} {what}.{did_you_mean(name, hook_names())}"
    return PluginRejected(cause.removesuffix("."), step)


def _refuse_uncallable(name: str, part: Part) -> None:
    """Raise PluginRejected for a function that cannot be called like its hook."""
    function = part.function
    wrapper = bool(part.options.get("wrapper"))
    if part.options.get("hookwrapper"):
        raise PluginRejected(
            f"{name} is an old-style wrapper", "Write wrapper=True instead of hookwrapper=True."
        )
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginRejected(
            f"{name} is async, and hooks are called without an event loop",
            "Write def instead of async def.",
        )
    if part.options.get(ORDERS_ONLY) and part.hook != RERANK:
        raise PluginRejected(
            f"{ORDERS_ONLY} is for {RERANK}, not for {part.hook}", "Leave that mark out."
        )
    if wrapper and part.hook in COLLECTED:
        raise PluginRejected(
            f"{part.hook} cannot be wrapped: every plugin answers for itself",
            "Wrap semantic_rerank instead.",
        )
    if inspect.isgeneratorfunction(function) != wrapper:
        if wrapper:
            raise PluginRejected(
                f"{name} is marked as a wrapper and has no yield",
                "Write result = yield; return result.",
            )
        raise PluginRejected(
            f"{name} has a yield and is no wrapper",
            "Return a list, or write @hookimpl(wrapper=True).",
        )
    known = list(signature_of(part.hook).parameters)
    if inspect.ismethod(function):
        first = next(iter(inspect.signature(function.__func__).parameters), "")
        if first in known:
            raise PluginRejected(
                f"{name} is a method without self", "Write self as its first parameter."
            )
    for parameter in inspect.signature(function).parameters.values():
        is_rest = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if not is_rest and parameter.name not in known:
            near = did_you_mean(parameter.name, known)
            raise PluginRejected(
                f"{name} takes {parameter.name!r}, which {part.hook} does not have.{near}",
                f"Its parameters are: {', '.join(known) or 'none'}.",
            )
