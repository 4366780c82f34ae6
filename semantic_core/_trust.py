"""Settings files that a user has confirmed: only those may send texts or keys to a host.

A settings file in a folder may have come with the folder, so it may not be the user's own. Its
settings for the index apply. Settings that name a host apply only after the user has confirmed the
file (``semantic-core config trust``); a changed file has to be confirmed again.

Tested by tests/kernel/test_config.py.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from semantic_core._validation import clip, plain_name
from semantic_core.errors import ConfigError

_TABLES = ("store_options", "embedder_options")
_WORDS = {"addr", "dsn", "endpoint", "endpoints", "domain", "gateway", "hostname", "proxies"}
_ENDINGS = ("url", "urls", "uri", "host", "hosts", "server", "servers", "proxy", "address")
"""An option names a host if its name has one of these words, or a word with such an ending."""
_ELSEWHERE = re.compile(
    r"(?!file:)[a-z][a-z0-9+.-]*://|//|\\\\|[^\s/:]+:\d+(/|$)|\d+(\.\d+){3}", re.I
)
"""Beginnings of a value that names a host, in any option: a URL, a share, host:port, an address."""


_VARIABLE = "variable"
"""The last word of an option that names an environment variable, whose content is sent as a key."""


@attrs.frozen
class NamedHost:
    """A setting of a file that names a host, such as ``embedder_options.base_url``; or an
    environment variable that is sent to one, such as ``embedder_options.key_variable``.

    host: its name. option: key, or table and option, of that setting or of the one that it is in;
    for an option of a plugin ``("plugins", name, option)`` with the name as `plain_name` writes it.
    Whatever sets the same option elsewhere replaces it. is_variable: whether it is a variable.
    """

    setting: str
    host: str
    option: tuple[str, ...] = ()
    is_variable: bool = False


def leads_elsewhere(value: object) -> bool:
    """Whether the form of this value shows that it names a host."""
    return isinstance(value, str) and _ELSEWHERE.match(value) is not None


def named_hosts(content: Mapping[str, Any]) -> list[NamedHost]:
    """Every setting in the content of a file that names a host for keys or texts, or a variable
    whose content is sent.
    """
    hosts: list[NamedHost] = []
    for name in ("path", "ledger"):
        hosts += _hosts_in(name, content.get(name), (name,), by_name=False)
    for table in _TABLES:
        hosts += _hosts_of(table, content.get(table), (table,))
    plugins = content.get("plugins")
    if isinstance(plugins, Mapping):
        for plugin, options in plugins.items():
            hosts += _hosts_of(f"plugins.{plugin}", options, ("plugins", plain_name(plugin)))
    return hosts


def _hosts_of(setting: str, options: Any, owner: tuple[str, ...]) -> Iterator[NamedHost]:
    """The hosts and variables in a table of options. owner: which table it is."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            named = _is_host_name(name)
            full_name = f"{setting}.{name}"
            yield from _hosts_in(full_name, value, (*owner, name), by_name=named)
            if _is_variable_name(name) and value:
                variable = clip(str(value))[1:-1]
                yield NamedHost(full_name, variable, (*owner, name), is_variable=True)


def _hosts_in(
    setting: str, value: Any, option: tuple[str, ...], *, by_name: bool
) -> Iterator[NamedHost]:
    """The hosts of a setting. by_name: whether its name shows that its values are hosts."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            nested = by_name or _is_host_name(str(name))
            yield from _hosts_in(f"{setting}.{name}", item, option, by_name=nested)
    elif isinstance(value, list):
        for item in value:
            yield from _hosts_in(setting, item, option, by_name=by_name)
    elif leads_elsewhere(value) or (by_name and value and not isinstance(value, bool)):
        yield NamedHost(setting, _host(str(value)), option)


def _is_host_name(name: str) -> bool:
    """Whether an option of this name has a host as its value."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return any(word in _WORDS or word.endswith(_ENDINGS) for word in words)


def _is_variable_name(name: str) -> bool:
    """Whether an option of this name has an environment variable as its value."""
    return re.split(r"[^a-z0-9]+", name.lower())[-1] == _VARIABLE


def _host(value: str) -> str:
    """Host and port in a value, without user name and password."""
    try:
        netloc = urlsplit(value if "//" in value else f"//{value}").netloc
    except ValueError:
        netloc = ""
    return clip((netloc or value).rpartition("@")[2])[1:-1]


def belongs_to_a_stranger(file: Path) -> bool:
    """Whether a file, or the link to it, belongs to another user, who is not root.

    Under sudo, a file of the user who called it does not. Always False on Windows.
    """
    if os.name == "nt":
        return False
    mine = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        mine.add(int(os.environ["SUDO_UID"]))
    return not _owners(file) <= mine


def _owners(file: Path) -> set[int]:
    return {file.stat().st_uid, file.lstat().st_uid}


def is_trusted(file: Path, content: Mapping[str, Any]) -> bool:
    """Whether the user has confirmed this file with this content."""
    folder = _records()
    return folder is not None and (folder / _fingerprint(file, content)).is_file()


def trust(file: Path, content: Mapping[str, Any]) -> None:
    """Record that the user has confirmed a file. Raises ConfigError if that cannot be written."""
    folder = _records()
    if folder is None:
        raise ConfigError(
            "There is no folder for confirmed settings files: the home folder is unknown.",
            hint="Set HOME or XDG_CONFIG_HOME, or name the file: SEMANTIC_CORE_CONFIG.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / _fingerprint(file, content)).write_text(f"{file.resolve()}\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot write below {str(folder)!r}: {error.strerror}.") from error


def untrust(file: Path) -> int:
    """Forget that the user has confirmed this file, with any content; how many records there were.

    The file itself need not exist any more. Raises ConfigError if a record cannot be removed.
    """
    folder = _records()
    if folder is None or not folder.is_dir():
        return 0
    removed = 0
    try:
        for record in sorted(folder.iterdir()):
            if record.read_text("utf-8", "replace").rstrip("\n") == str(file.resolve()):
                record.unlink(missing_ok=True)
                removed += 1
    except OSError as error:
        raise ConfigError(f"Cannot change {str(folder)!r}: {error.strerror}.") from error
    return removed


def _records() -> Path | None:
    """The folder with a record of each file that this user has confirmed, by fingerprint."""
    variable = "XDG_CONFIG_HOME"
    below = ".config"
    if os.name == "nt":
        variable = "APPDATA"
        below = ""
    given = os.environ.get(variable, "")
    if os.path.isabs(given):
        return Path(given, "semantic-core", "trusted")
    try:
        return Path.home() / below / "semantic-core" / "trusted"
    except RuntimeError:  # no home
        return None


def _fingerprint(file: Path, content: Mapping[str, Any]) -> str:
    """The fingerprint of a file's path and settings; its comments may change."""
    identity = json.dumps([str(file.resolve()), content], sort_keys=True, default=str)
    return sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
