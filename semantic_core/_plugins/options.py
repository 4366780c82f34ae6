"""The options of plugins: which were given, and reading each as the type that its author declared.

Tested by tests/plugins/test_plugin_options.py.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from semantic_core._plugins.records import (
    OptionInfo,
    PluginRejected,
    annotated,
    is_secret,
    option_of,
    parameters_of,
)
from semantic_core._validation import clip, did_you_mean, named, plain_name
from semantic_core.errors import ConfigError

RESERVED = "use"
"""No plugin can have this name: in the table of plugins it is the key for those to use."""
_LISTS = {
    "list": list,
    "List": list,
    "Sequence": list,
    "Iterable": list,
    "Collection": list,
    "tuple": tuple,
    "Tuple": tuple,
    "set": set,
    "Set": set,
    "frozenset": frozenset,
    "FrozenSet": frozenset,
}
"""What a list in a settings file becomes, by the name of the declared type."""
_TABLES = ("dict", "Dict", "Mapping", "MutableMapping")


class GivenOptions:
    """The options that were given, by the name of a plugin. An empty one has none."""

    def __init__(self, options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Raises ConfigError if it is not {name: {option: value}}."""
        if not isinstance(options or {}, Mapping):
            raise ConfigError(
                f"plugin_options must be {{plugin: {{option: value}}}}, got {named(options)}."
            )
        self._options: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        for plugin, given in (options or {}).items():
            if not isinstance(plugin, str) or not isinstance(given, Mapping):
                raise ConfigError(
                    f"plugin_options[{clip(plugin)}] must be a table of options, got "
                    f"{named(given)}."
                )
            self._names.setdefault(plain_name(plugin), plugin)
            self._options.setdefault(plain_name(plugin), {}).update(given)

    def __bool__(self) -> bool:
        return bool(self._options)

    def of(self, plugin: str) -> Mapping[str, Any]:
        """The options of a plugin; {} if it was given none."""
        return self._options.get(plain_name(plugin), {})

    def unknown(self, there: Iterable[str]) -> list[str]:
        """The names of plugins that have options and are not among these."""
        known = {plain_name(name) for name in there}
        return [name for plain, name in self._names.items() if plain not in known]


def unknown_plugin(name: str, there: Iterable[str]) -> ConfigError:
    """The error for options of a plugin that does not exist, with the nearest that does."""
    return ConfigError(
        f"Options are given for a plugin {name!r}, and there is none of that name."
        f"{did_you_mean(name, there)}",
        hint="Correct the name or remove them; semantic-core plugins list shows the plugins.",
    )


def is_factory(plugin: object) -> bool:
    """Whether this makes the plugin: a class, or a function that is no hook itself."""
    return isinstance(plugin, type | FunctionType)


def read_options(
    name: str, factory: Callable[..., Any], options: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[OptionInfo, ...]]:
    """The values to call a class or function with that makes a plugin, and what its options are.

    name: of the plugin. Raises ConfigError for an option that it does not have, or a value of
    another type than the declared one; PluginRejected if one is missing that it needs.
    """
    parameters, takes_any = parameters_of("plugin", factory)
    names = [parameter.name for parameter in parameters]
    for option in options:
        if option not in names and not takes_any:
            raise ConfigError(
                f"The plugin {name!r} has no option {clip(option)}.{did_you_mean(option, names)}",
                hint=f"Its options are: {', '.join(names) or 'none'}.",
            )
    values = dict(options)
    infos = []
    for parameter in parameters:
        if parameter.name in options:
            value = _read(name, parameter, options[parameter.name])
            values[parameter.name] = value
            infos.append(option_of(parameter, value))
        elif parameter.default is parameter.empty:
            raise PluginRejected(
                f"it needs the option {parameter.name!r}",
                f"Set it: {parameter.name} = ... in the table [plugins.{name}] of the settings, "
                f"or leave {name} out.",
            )
        else:
            infos.append(option_of(parameter))
    return values, tuple(infos)


def refuse_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigError if options are given for a plugin that takes none."""
    if options:
        raise ConfigError(
            f"The plugin {name!r} takes no options, got {', '.join(map(str, options))}.",
            hint=(
                "Options of an embedder are written in the table [embedder_options], those of a "
                "store in [store_options]; a plugin takes options only if it is a class, or a "
                "function that returns an object."
            ),
        )


def _read(plugin: str, parameter: inspect.Parameter, value: Any) -> Any:
    """The value of an option as its declared type. Raises ConfigError."""
    kind, _ = annotated(parameter.annotation)
    declared = kind
    if not kind and isinstance(parameter.default, bool | int | float | str):
        declared = named(parameter.default)
    try:
        return read_value(declared, value)
    except TypeError as wanted:
        shown = named(value) if is_secret(parameter.name, kind, value) else clip(value)
        raise ConfigError(
            f"The option {parameter.name!r} of the plugin {plugin!r} must be {wanted}, "
            f"got {shown}.",
            hint=f"semantic-core plugins show {plugin} lists its options.",
        ) from None


def read_value(declared: str, value: Any) -> Any:
    """The value as the type that is declared, such as "int" or "list[str] | None".

    A text is read as a number, a truth value or a list where that is declared, because variables of
    the environment are texts. A type that settings files cannot express is not checked. Raises
    TypeError, whose message is what was wanted.
    """
    try:
        node = ast.parse(declared.strip() or "object", mode="eval").body
    except SyntaxError:
        return value
    return _as(node, value)


def _as(node: ast.expr, value: Any) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _as_one_of([node.left, node.right], value)
    if isinstance(node, ast.Constant) and node.value is None:
        return _as_none(value)
    inner: list[ast.expr] = []
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        node = node.value
    name = ast.unparse(node).rpartition(".")[2]
    if name == "Optional":
        return _as_one_of([*inner, ast.Constant(None)], value)
    if name == "Union":
        return _as_one_of(inner, value)
    if name == "Literal":
        return _as_literal(inner, value)
    if name in _LISTS:
        return _as_list(name, inner, value)
    if name in _TABLES:
        if not isinstance(value, Mapping):
            raise TypeError("a table")
        return dict(value)
    reader = _SIMPLE.get(name)
    return value if reader is None else reader(value)


def _as_one_of(nodes: list[ast.expr], value: Any) -> Any:
    wanted = []
    for node in nodes:
        try:
            return _as(node, value)
        except TypeError as error:
            wanted.append(str(error))
    raise TypeError(" or ".join(dict.fromkeys(wanted)))


def _as_literal(nodes: list[ast.expr], value: Any) -> Any:
    allowed = [node.value for node in nodes if isinstance(node, ast.Constant)]
    for one in allowed:
        if one == value and type(one) is type(value):
            return one
        if isinstance(value, str) and not isinstance(one, str) and str(one) == value:
            return one
    raise TypeError(f"one of {', '.join(map(repr, allowed))}")


def _as_list(name: str, inner: list[ast.expr], value: Any) -> Any:
    items = value
    if isinstance(value, str):
        items = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(items, list | tuple | set | frozenset):
        raise TypeError("a list")
    if inner:
        try:
            items = [_as(inner[0], item) for item in items]
        except TypeError as error:
            raise TypeError(f"a list, each {error}") from None
    return _LISTS[name](items)


def _as_none(value: Any) -> None:
    if value is not None:
        raise TypeError("None")


def _as_bool(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _as_int(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,4000}\s*", value, re.ASCII):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number")
    return value


def _as_float(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise TypeError("a number") from None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("a number")
    return float(value)


def _as_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def _as_path(value: Any) -> Path:
    if not isinstance(value, str | Path):
        raise TypeError("a path")
    return Path(value)


_SIMPLE: Mapping[str, Callable[[Any], Any]] = {
    "bool": _as_bool,
    "int": _as_int,
    "float": _as_float,
    "str": _as_str,
    "Path": _as_path,
    "None": _as_none,
}
"""The function that reads each type, by its name."""
