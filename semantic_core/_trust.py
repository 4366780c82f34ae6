"""A settings file that lies in a folder may have come with it, and is not its user's own word.

What it says about the index holds. What leads keys or texts to a host holds once the user has
confirmed this file (``semantic-core config trust``); a changed file has to be confirmed again.
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

from semantic_core._validation import clip
from semantic_core.errors import ConfigError

_TABLES = ("store_options", "embedder_options")
_WORDS = {"addr", "dsn", "endpoint", "endpoints", "domain", "gateway", "hostname", "proxies"}
_ENDINGS = ("url", "urls", "uri", "host", "hosts", "server", "servers", "proxy", "address")
"""An option with one of these words in its name, or a word that ends so, says which host."""
_ELSEWHERE = re.compile(
    r"(?!file:)[a-z][a-z0-9+.-]*://|//|\\\\|[^\s/:]+:\d+(/|$)|\d+(\.\d+){3}", re.I
)
"""How a value of any name begins that leads to a host: a URL, a share, host:port, an address."""


@attrs.frozen
class NamedHost:
    """A setting of a file that leads to a host: ``embedder_options.base_url``."""

    setting: str
    host: str


def leads_elsewhere(value: object) -> bool:
    """Whether this text names a host by its form, whatever it is for."""
    return isinstance(value, str) and _ELSEWHERE.match(value) is not None


def named_hosts(content: Mapping[str, Any]) -> list[NamedHost]:
    """Every setting of a file's content that says where keys or texts go."""
    found = list(_hosts_in("path", content.get("path"), said=False))
    for table in _TABLES:
        options = content.get(table)
        for name, value in options.items() if isinstance(options, Mapping) else ():
            found += _hosts_in(f"{table}.{name}", value, said=_says_host(name))
    return found


def _hosts_in(setting: str, value: Any, *, said: bool) -> Iterator[NamedHost]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _hosts_in(f"{setting}.{name}", item, said=said or _says_host(str(name)))
    elif isinstance(value, list):
        for item in value:
            yield from _hosts_in(setting, item, said=said)
    elif leads_elsewhere(value) or (said and value and not isinstance(value, bool)):
        yield NamedHost(setting, _host(str(value)))


def _says_host(name: str) -> bool:
    return any(
        word in _WORDS or word.endswith(_ENDINGS) for word in re.split(r"[^a-z0-9]+", name.lower())
    )


def _host(value: str) -> str:
    """Host and port of what was written, without a name or password in it."""
    try:
        netloc = urlsplit(value if "//" in value else f"//{value}").netloc
    except ValueError:
        netloc = ""
    return clip((netloc or value).rpartition("@")[2])[1:-1]


def belongs_to_a_stranger(file: Path) -> bool:
    """Whether a file, or the link to it, is another user's: not mine, not root's.

    Below sudo, that of the user who called it is mine. Always False on Windows.
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
    """Remember that the user has confirmed it. Raises ConfigError if that cannot be written."""
    folder = _records()
    if folder is None:
        raise ConfigError(
            "There is no folder for what this user has confirmed: no home is known.",
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
    """The folder of what this user has confirmed: a file for each, named by its fingerprint."""
    variable, below = ("APPDATA", "") if os.name == "nt" else ("XDG_CONFIG_HOME", ".config")
    given = os.environ.get(variable, "")
    if os.path.isabs(given):
        return Path(given, "semantic-core", "trusted")
    try:
        return Path.home() / below / "semantic-core" / "trusted"
    except RuntimeError:  # no home
        return None


def _fingerprint(file: Path, content: Mapping[str, Any]) -> str:
    """Of where it lies and what it says to this product: comments may change."""
    said = json.dumps([str(file.resolve()), content], sort_keys=True, default=str)
    return sha256(said.encode("utf-8", "surrogateescape")).hexdigest()
