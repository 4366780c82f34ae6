"""Settings: argument > environment > file > default, and where each one came from.

File: ``semantic-core.toml``, or the table ``[tool.semantic-core]`` of ``pyproject.toml``, the first
found from the working folder upward. Environment: ``SEMANTIC_CORE_PATH`` and so on; one option of
the store or embedder is ``SEMANTIC_CORE_STORE_OPTIONS__DURABILITY``. An option of a plugin is
``half_life`` in the table ``[plugins.decay]``, or ``SEMANTIC_CORE_PLUGINS__DECAY__HALF_LIFE``; they
are all in one setting, ``plugin_options``. A relative ``path`` or ``ledger`` in a file is relative
to that file. A file that was found and not named may not set hosts: see `_trust`.

Tested by tests/kernel/test_config.py.
"""

from __future__ import annotations

import math
import os
import shlex
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs

from semantic_core._trust import (
    NamedHost,
    belongs_to_a_stranger,
    is_trusted,
    leads_elsewhere,
    named_hosts,
)
from semantic_core._validation import LANGUAGES_EXAMPLE, check_languages, clip, plain_name
from semantic_core.errors import ConfigError, InputError

FILE = "semantic-core.toml"
PROJECT = "pyproject.toml"
TABLE = "semantic-core"
ENVIRONMENT = "SEMANTIC_CORE_"
DEFAULT_STORE = "sqlite"
DEFAULT_EMBEDDER = "wordllama"
DEFAULT_ANALYSER = "languages"
"""The analyser that is used if its plugin is installed, and `WORD_ANALYSER` if not."""
SEARCH_TIMEOUT = 10
"""Seconds that the retriever of a plugin may take in one search, unless a setting says otherwise:
longer than a service usually takes, and not longer than a person waits.
"""
USE = "use"
"""The key of the table of plugins that names those to use. No plugin can have this name."""
MOST_BYTES = 1_000_000
"""Size of a settings file, at most."""
NO_FILE = (":memory:", "file:")
"""Beginnings of a path that is no file to SQLite, or a file with options."""
DEEPEST = 20
"""How deeply tables and lists may be nested."""
_OTHER_VARIABLES = {"APP", "CONFIG", "TRACE", "DEBUG", "SOAK", "COLLECTIONS"}
"""Variables that other modules read: the path of the file, tracing and tracebacks, the length of
long tests, folders of benchmark collections.
"""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text")
    return value


def _path(value: Any) -> str:
    return _text(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _path_or_object(value: Any) -> Any:
    return _path(value) if isinstance(value, str | os.PathLike) else value


def _bool(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _count(value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.isdigit() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise TypeError("a whole number from 1")
    return number


def _seconds(value: Any) -> float:
    number: Any = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not math.isfinite(number) or number < 0:
        raise TypeError("a number of seconds from 0 (no limit)")
    return float(number)


def _names(value: Any) -> list[Any]:
    if isinstance(value, str):
        is_none = value.strip().lower() in ("", "none")
        value = [] if is_none else [name.strip() for name in value.split(",")]
    if not isinstance(value, list | tuple):
        raise TypeError("a list of plugin names")
    return list(value)


def _languages(value: Any) -> list[str]:
    if isinstance(value, str):
        value = [code.strip() for code in value.split(",") if code.strip()]
    try:
        return list(check_languages(value))
    except InputError:
        raise TypeError(f"a list of ISO codes such as {LANGUAGES_EXAMPLE}") from None


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("a table of options")
    return {str(key): item for key, item in value.items()}


def _options_of_plugins(value: Any) -> dict[str, Any]:
    tables = isinstance(value, Mapping) and all(isinstance(one, Mapping) for one in value.values())
    if not tables:
        raise TypeError("a table with a table of options for each plugin")
    return {str(plugin): _options(options) for plugin, options in value.items()}


def _freshness(value: Any) -> str | dict[str, Any]:
    return _text(value) if isinstance(value, str) else _options(value)


def _object_or_name(value: Any) -> Any:
    return _text(value) if isinstance(value, str) or value is None else value


PLUGIN_OPTIONS = "plugin_options"
_KEYS: Mapping[str, tuple[Callable[[Any], Any], Any]] = {
    "path": (_path, None),
    "store": (_object_or_name, DEFAULT_STORE),
    "embedder": (_object_or_name, DEFAULT_EMBEDDER),
    "analyser": (_object_or_name, None),
    "languages": (_languages, []),
    "multi_tenant": (_bool, None),
    "max_chars": (_count, None),
    "plugins": (_names, None),
    "plugin_options": (_options_of_plugins, {}),
    "store_options": (_options, {}),
    "embedder_options": (_options, {}),
    "freshness": (_freshness, None),
    "budget": (_options, {}),
    "batch": (_options, {}),
    "ledger": (_path_or_object, None),
    "search_timeout": (_seconds, SEARCH_TIMEOUT),
    "ranking": (_options, {}),
}
"""Every key: a function that reads its value, and its default. None: the component decides."""


@attrs.frozen
class Settings:
    """Every key with its value and its source: "argument", "environment NAME", "file PATH" or
    "default".

    unconfirmed: settings that name a host, from a file that the user has not confirmed.
    of_plugins: the source of each option in ``plugin_options``, by plugin and option.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    file: Path | None = None
    unconfirmed: tuple[NamedHost, ...] = ()
    of_plugins: Mapping[tuple[str, str], str] = attrs.field(factory=dict, hash=False)

    def items(self) -> Iterator[tuple[str, Any, str]]:
        """(key, value, source) of every key."""
        for key, value in self.values.items():
            yield key, value, self.sources[key]


def read_config(
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    start: Path | None = None,
    to_look_at: bool = False,
) -> Settings:
    """The settings that apply.

    config: a file to read instead of searching for one. overrides: arguments; None means not given.
    to_look_at: the settings are only shown, so they may be unconfirmed.

    Raises ConfigError for an unknown key (with the nearest known one), a value of the wrong kind, a
    broken file; for a file that was found and belongs to another user, or names a host, unless it
    is confirmed.
    """
    environ = os.environ if environment is None else environment
    named = config or environ.get(f"{ENVIRONMENT}CONFIG")
    file = Path(named) if named else find_file(start or Path.cwd())
    content = read_file(file) if file else {}
    values = {key: default for key, (_, default) in _KEYS.items()}
    sources = dict.fromkeys(_KEYS, "default")
    arguments = {key: value for key, value in (overrides or {}).items() if value is not None}
    above = [*_from_environment(environ), ("argument", _apart(arguments, "argument"))]
    of_plugins: dict[tuple[str, str], str] = {}
    of_file = _placed(file, content) if file else {}
    for source, layer in [(f"file {file}", of_file), *above]:
        for key, value in layer.items():
            read = _read_value(key, value, source)
            if key == PLUGIN_OPTIONS:
                read = _plugins_merged(values[key], read)
                for plugin, option in _options_in(read, value):
                    of_plugins[plugin, option] = source
            values[key] = _merged(values, key, read)
            sources[key] = source
    unconfirmed: tuple[NamedHost, ...] = ()
    if file and not named and not is_trusted(file, content):
        if belongs_to_a_stranger(file):
            raise ConfigError(
                f"The settings file {str(file)!r} belongs to another user, and is not used.",
                hint=f"To use it: {_trusting(file)}.",
            )
        replaced = _options_of(above)
        unconfirmed = tuple(one for one in named_hosts(content) if one.option not in replaced)
        if unconfirmed and not to_look_at:
            raise _unconfirmed(file, unconfirmed[0])
    return Settings(values, sources, file, unconfirmed, of_plugins)


def _options_of(layers: Iterable[tuple[str, Mapping[str, Any]]]) -> set[tuple[str, ...]]:
    """The settings, and options of store, embedder and plugins, that these layers set, as a
    `NamedHost` names them.
    """
    names: set[tuple[str, ...]] = set()
    for _, layer in layers:
        for key, value in layer.items():
            if key == PLUGIN_OPTIONS:
                for plugin, options in value.items():
                    names.update(("plugins", plain_name(plugin), option) for option in options)
            elif isinstance(value, Mapping):
                names.update((key, option) for option in value)
            else:
                names.add((key,))
    return names


def _apart(layer: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The settings of a source, with a table of plugins as the names to use and the options."""
    apart = dict(layer)
    if not isinstance(layer.get("plugins"), Mapping):
        return apart
    options = dict(layer.get(PLUGIN_OPTIONS) or {})
    for name, value in apart.pop("plugins").items():
        if name == USE:
            apart["plugins"] = value
        elif isinstance(value, Mapping):
            options[name] = value
        else:
            raise ConfigError(
                f"{source}: plugins.{name} must be a table with the options of a plugin, got "
                f"{type(value).__name__}.",
                hint=f'Write [plugins.{name}]. The plugins to use are a list: {USE} = ["{name}"].',
            )
    if options:
        apart[PLUGIN_OPTIONS] = options
    return apart


def _plugins_merged(
    below: Mapping[str, Mapping[str, Any]], options: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The options of plugins, with those of a plugin that is written in another way under one name,
    which is the first.
    """
    merged = {plugin: dict(given) for plugin, given in below.items()}
    for plugin, given in options.items():
        name = plugin
        for other in merged:
            if plain_name(other) == plain_name(plugin):
                name = other
        merged.setdefault(name, {}).update(given)
    return merged


def _options_in(
    merged: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """(plugin, option) of the given options, with the names that the merged ones have."""
    for plugin, options in given.items():
        for name in merged:
            if plain_name(name) == plain_name(plugin):
                for option in options:
                    yield name, str(option)


def _trusting(file: Path) -> str:
    """The command that confirms a file."""
    return f"semantic-core config trust {shlex.quote(str(file))}"


def _unconfirmed(file: Path, one: NamedHost) -> ConfigError:
    what = f"texts, and keys, to {one.host!r}"
    if one.is_variable:
        what = f"the environment variable {one.host!r} as a key"
    return ConfigError(
        f"The settings file {str(file)!r} would send {what} ({one.setting}); nobody has confirmed "
        "that.",
        hint=f"To confirm it: {_trusting(file)}. Else remove the line.",
    )


def _merged(values: Mapping[str, Any], key: str, value: Any) -> Any:
    if isinstance(value, dict) and isinstance(values.get(key), dict):
        return {**values[key], **value}
    return value


def _read_value(key: str, value: Any, source: str) -> Any:
    if key not in _KEYS:
        raise _unknown(key, _KEYS, source)
    try:
        return _KEYS[key][0](value)
    except TypeError as error:
        raise ConfigError(f"{source}: {key} must be {error}, got {clip(value)}.") from error


def _unknown(key: str, known: Mapping[str, Any] | set[str], source: str) -> ConfigError:
    near = get_close_matches(key, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known))}."
    return ConfigError(f"{source}: unknown setting {key!r}.", hint=hint)


def find_file(start: Path) -> Path | None:
    """The settings file of a folder, or of the nearest folder above that has one."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE).is_file():
            return folder / FILE
        project = folder / PROJECT
        if project.is_file() and TABLE in _parsed(project).get("tool", {}):
            return project
    return None


def read_file(file: Path) -> dict[str, Any]:
    """The content of a settings file. Raises ConfigError."""
    content = _parsed(file)
    if file.name == PROJECT:
        content = content.get("tool", {}).get(TABLE, {})
    _check_depth(file, content)
    return content


def _parsed(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise ConfigError(
                f"The settings file {str(file)!r} has more than {MOST_BYTES:,} bytes, the most."
            )
        return tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"Cannot read the settings file {str(file)!r}: {error.strerror}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(file)!r} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise _too_deep(file) from error


def _check_depth(file: Path, content: Mapping[str, Any]) -> None:
    level: list[Any] = [content]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for one in level:
            items = one.values() if isinstance(one, Mapping) else one
            below += [item for item in items if isinstance(item, Mapping | list)]
        level = below
    if level:
        raise _too_deep(file)


def _too_deep(file: Path) -> ConfigError:
    return ConfigError(
        f"In the settings file {str(file)!r}, tables or lists are nested more than {DEEPEST} deep."
    )


def _placed(file: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content with relative paths resolved from the file's folder."""
    if PLUGIN_OPTIONS in content:
        raise ConfigError(
            f"file {file}: {PLUGIN_OPTIONS} is the name of an argument.",
            hint="In a file, the options of a plugin are a table: [plugins.NAME].",
        )
    placed = _apart(content, f"file {file}")
    for key in ("path", "ledger"):
        path = content.get(key)
        if isinstance(path, str) and not leads_elsewhere(path) and not path.startswith(NO_FILE):
            placed[key] = str(file.resolve().parent / path)
    return placed


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in sorted(environ):
        key, _, option = name.removeprefix(ENVIRONMENT).lower().partition("__")
        if not name.startswith(ENVIRONMENT) or key.upper() in _OTHER_VARIABLES:
            continue
        source = f"environment {name}"
        if key == "plugins" and option:
            yield source, _of_a_plugin(name, option, environ[name])
        elif option and key != PLUGIN_OPTIONS and isinstance(_KEYS.get(key, (None, None))[1], dict):
            yield source, {key: {option: _scalar(environ[name])}}
        elif key in _KEYS and key != PLUGIN_OPTIONS and not option:
            yield source, {key: environ[name]}
        else:
            known = {ENVIRONMENT + one.upper() for one in _KEYS if one != PLUGIN_OPTIONS}
            raise _unknown(name, known, "environment")


def _of_a_plugin(variable: str, rest: str, text: str) -> dict[str, Any]:
    """The setting in a variable such as ``SEMANTIC_CORE_PLUGINS__DECAY__HALF_LIFE``.

    The text of an option is left as it is, because only its plugin says of which type it is.
    """
    plugin, _, option = rest.partition("__")
    if plugin == USE and not option:
        return {"plugins": text}
    if not plugin or not option:
        raise ConfigError(
            f"environment: {variable} names no option of a plugin.",
            hint=f"Write {ENVIRONMENT}PLUGINS__{plugin.upper() or 'NAME'}__OPTION=value.",
        )
    return {PLUGIN_OPTIONS: {plugin: {option: text}}}


def _scalar(text: str) -> str | bool | int | float:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
