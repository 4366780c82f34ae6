"""Settings: argument > environment > file > default, and every key reaches its component."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest

from semantic_core import SemanticCore, Space, _trust, hookimpl
from semantic_core._config import read_config, read_file
from semantic_core._memory.store import MemoryStore
from semantic_core._trust import trust
from semantic_core.errors import ConfigError, PluginError
from semantic_core.testing import HashEmbedder

KEYS = [
    "path",
    "store",
    "embedder",
    "analyser",
    "languages",
    "multi_tenant",
    "max_chars",
    "plugins",
    "plugin_options",
    "store_options",
    "embedder_options",
    "freshness",
    "budget",
    "batch",
    "ledger",
    "search_timeout",
    "ranking",
]


def settings(
    folder: Path, file: str = "", environment: Mapping[str, str] | None = None, **overrides: Any
) -> dict[str, Any]:
    if file:
        (folder / "semantic-core.toml").write_text(file)
    read = read_config(None, overrides, environment=environment or {}, start=folder)
    return {key: (value, source.split()[0]) for key, value, source in read.items()}


def test_every_key_has_a_default(tmp_path: Path) -> None:
    read = settings(tmp_path)
    assert list(read) == KEYS
    assert {source for _, source in read.values()} == {"default"}
    assert (read["store"][0], read["embedder"][0], read["path"][0]) == ("sqlite", "wordllama", None)


def test_each_layer_beats_the_one_below(tmp_path: Path) -> None:
    file, environment = 'embedder = "file"', {"SEMANTIC_CORE_EMBEDDER": "environment"}
    assert settings(tmp_path, file)["embedder"] == ("file", "file")
    assert settings(tmp_path, file, environment)["embedder"] == ("environment", "environment")
    assert settings(tmp_path, file, environment, embedder="argument")["embedder"] == (
        "argument",
        "argument",
    )
    assert settings(tmp_path, file, environment, embedder=None)["embedder"] == (
        "environment",
        "environment",
    )


def test_freshness_is_one_goal_or_one_for_each_collection(tmp_path: Path) -> None:
    assert (
        settings(tmp_path, environment={"SEMANTIC_CORE_FRESHNESS": "24h"})["freshness"][0] == "24h"
    )
    assert settings(tmp_path, "[freshness]\n'*' = '24h'\nnews = 'now'")["freshness"][0] == {
        "*": "24h",
        "news": "now",
    }


def test_options_of_all_layers_come_together(tmp_path: Path) -> None:
    read = settings(
        tmp_path,
        "[store_options]\ndurability = 'normal'\nbusy_timeout = 5",
        {
            "SEMANTIC_CORE_STORE_OPTIONS__BUSY_TIMEOUT": "2.5",
            "SEMANTIC_CORE_STORE_OPTIONS__FAST": "true",
        },
        store_options={"durability": "full"},
    )
    assert read["store_options"][0] == {"durability": "full", "busy_timeout": 2.5, "fast": True}


def test_the_file_is_searched_upward_and_a_path_in_it_is_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "semantic-core.toml").write_text('path = "data/notes.db"')
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    read = read_config(None, {}, environment={}, start=deep)
    assert read.values["path"] == str(tmp_path / "data" / "notes.db")
    assert read.sources["path"] == f"file {tmp_path / 'semantic-core.toml'}"


def test_a_table_in_pyproject_is_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.semantic-core]\nembedder = "gemini"')
    assert read_config(None, {}, environment={}, start=tmp_path).values["embedder"] == "gemini"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"')
    assert read_config(None, {}, environment={}, start=tmp_path).sources["embedder"] == "default"


def test_a_file_can_be_named_by_argument_or_environment(tmp_path: Path) -> None:
    named = tmp_path / "other.toml"
    named.write_text('embedder = "named"')
    assert read_config(named, {}, environment={}, start=tmp_path).values["embedder"] == "named"
    environment = {"SEMANTIC_CORE_CONFIG": str(named)}
    assert (
        read_config(None, {}, environment=environment, start=tmp_path).values["embedder"] == "named"
    )


@pytest.mark.parametrize(
    ("file", "environment", "overrides", "message"),
    [
        ('embeder = "x"', {}, {}, "unknown setting 'embeder'. Did you mean embedder?"),
        ("", {"SEMANTIC_CORE_EMBEDER": "x"}, {}, "Did you mean SEMANTIC_CORE_EMBEDDER?"),
        ("", {}, {"pth": "x"}, "argument: unknown setting 'pth'. Did you mean path?"),
        (
            "",
            {},
            {"zzz": "x"},
            "There are analyser, batch, budget, embedder, embedder_options, freshness, languages",
        ),
        ("max_chars = 'many'", {}, {}, "max_chars must be a whole number from 1, got 'many'"),
        ("max_chars = true", {}, {}, "max_chars must be a whole number"),
        (
            "",
            {"SEMANTIC_CORE_MULTI_TENANT": "maybe"},
            {},
            "multi_tenant must be true or false, got 'maybe'",
        ),
        ("plugins = 5", {}, {}, "plugins must be a list of plugin names, got 5"),
        ("store_options = 'x'", {}, {}, "store_options must be a table of options"),
        ("path = 5", {}, {}, "path must be a text"),
        ("path = ", {}, {}, "is not valid TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_where_it_stands(
    tmp_path: Path, file: str, environment: dict[str, str], overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, file, environment, **overrides)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot read the settings file .*gone.toml"):
        read_config(tmp_path / "gone.toml", {}, environment={})


def test_no_plugins_can_be_said_in_the_environment(tmp_path: Path) -> None:
    assert settings(tmp_path, environment={"SEMANTIC_CORE_PLUGINS": ""})["plugins"][0] == []
    assert settings(tmp_path, environment={"SEMANTIC_CORE_PLUGINS": "a, b"})["plugins"][0] == [
        "a",
        "b",
    ]


class Recorder:
    """A plugin whose store and embedder say which options they were made with."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}

    @hookimpl
    def semantic_embedders(self) -> dict[str, Any]:
        def make(*, size: Annotated[int, "dimensions"] = 8) -> HashEmbedder:
            self.made["size"] = size
            return HashEmbedder(size)

        return {"recorded": make}

    @hookimpl
    def semantic_stores(self) -> dict[str, Any]:
        def make(
            space: Space, *, path: str = "", multi_tenant: bool | None = None, speed: int = 0
        ) -> MemoryStore:
            self.made.update(path=path, multi_tenant=multi_tenant, speed=speed)
            return MemoryStore(space, multi_tenant=bool(multi_tenant))

        return {"recorded": make}


def test_every_key_of_a_file_reaches_its_component(tmp_path: Path) -> None:
    file = tmp_path / "semantic-core.toml"
    file.write_text(
        'path = "x.db"\nstore = "recorded"\nembedder = "recorded"\nmulti_tenant = true\n'
        "max_chars = 77\n"
        "[store_options]\nspeed = 3\n[embedder_options]\nsize = 16\n"
    )
    recorder = Recorder()
    with SemanticCore.from_config(file, plugins=[recorder]) as core:
        assert recorder.made == {
            "path": str(tmp_path / "x.db"),
            "multi_tenant": True,
            "speed": 3,
            "size": 16,
        }
        assert core.embedder.space.dimensions == 16
        report = core.tenant("acme").ingest_file(_write(tmp_path / "long.txt", "word " * 100))
        assert report.chunks == 7  # 499 characters in pieces of at most 77
    assert read_config(file, {}, environment={}).values["plugins"] is None


def test_the_environment_reaches_the_component(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMANTIC_CORE_STORE", "recorded")
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "recorded")
    monkeypatch.setenv("SEMANTIC_CORE_PATH", "e.db")
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER_OPTIONS__SIZE", "32")
    recorder = Recorder()
    with SemanticCore.from_config(plugins=[recorder]):
        assert recorder.made["path"] == "e.db"
        assert recorder.made["size"] == 32


LEADS = '[embedder_options]\nbase_url = "https://elsewhere.invalid/v1"\n'


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place))
    monkeypatch.setenv("APPDATA", str(place))
    return place


@pytest.mark.parametrize(
    ("file", "setting", "host"),
    [
        (LEADS, "embedder_options.base_url", "elsewhere.invalid"),
        ("[embedder_options]\nhost = 'inside'", "embedder_options.host", "inside"),
        ("[embedder_options]\nserver_address = 2130706433", ".server_address", "2130706433"),
        ("[embedder_options]\nproxies = {https = 'p'}", "embedder_options.proxies.https", "p"),
        ("[embedder_options]\nodd = 'ws://me:secret@x.invalid:9/'", ".odd", "x.invalid:9"),
        ("[embedder_options]\nodd = ['10.0.0.1']", "embedder_options.odd", "10.0.0.1"),
        ("[store_options]\ndsn = 'postgres://u:secret@db/x'", "store_options.dsn", "db"),
        ("[store_options]\nodd = 'db.invalid:5432'", "store_options.odd", "db.invalid:5432"),
        ("[embedder_options]\nkey_variable = 'MY_TOKEN'", ".key_variable", "'MY_TOKEN' as a key"),
        ("path = 'redis://me:secret@db.invalid/0'", "path", "db.invalid"),
        ("path = '//server/share/x.db'", "path", "server"),
        ("path = '\\\\server\\share\\x.db'", "path", "server"),
    ],
)
def test_a_file_that_was_found_leads_to_no_host_nobody_confirmed(
    tmp_path: Path, home: Path, file: str, setting: str, host: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, file)
    told = str(caught.value)
    assert setting in told and host in told and "secret" not in told
    assert f"semantic-core config trust {tmp_path / 'semantic-core.toml'}" in told


@pytest.mark.parametrize(
    "file",
    [
        "path = '/srv/notes/x.db'",
        "path = 'C:/notes/x.db'",
        "path = '../x.db'",
        "[embedder_options]\nmodel = 'some/model-1.5'\nkey_variable = ''\ndimensions = 128",
        "[embedder_options]\nbase_url = ''\nuse_proxy = false",
        "[store_options]\ndurability = 'normal'\nsecurity = 'high'",
    ],
)
def test_what_leads_to_no_host_needs_no_confirmation(tmp_path: Path, home: Path, file: str) -> None:
    settings(tmp_path, file)


def test_a_host_somebody_said_needs_no_confirmation(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "semantic-core.toml"
    named.write_text(LEADS)
    assert read_config(named, {}, environment={}).values["embedder_options"]
    read_config(None, {}, environment={"SEMANTIC_CORE_CONFIG": str(named)})
    variable = {"SEMANTIC_CORE_EMBEDDER_OPTIONS__BASE_URL": "https://mine.invalid"}
    assert settings(tmp_path, environment=variable)["embedder_options"][0] == {
        "base_url": "https://mine.invalid"
    }
    settings(tmp_path, embedder_options={"base_url": "https://mine.invalid"})
    with pytest.raises(ConfigError, match="nobody has confirmed"):
        settings(tmp_path, embedder_options={"dimensions": 8})


def test_a_confirmed_file_is_obeyed_until_it_says_something_else(
    tmp_path: Path, home: Path
) -> None:
    file = tmp_path / "pyproject.toml"
    table = LEADS.replace("[", "[tool.semantic-core.")
    file.write_text(table)
    trust(file, read_file(file))
    file.write_text(f"# of another line\n[project]\nname = 'x'\n{table}")
    read = read_config(None, {}, environment={}, start=tmp_path)
    assert read.values["embedder_options"] == {"base_url": "https://elsewhere.invalid/v1"}
    file.write_text(table.replace("/v1", "/v2"))
    with pytest.raises(ConfigError, match="nobody has confirmed"):
        read_config(None, {}, environment={}, start=tmp_path)
    other = tmp_path / "clone"
    other.mkdir()
    (other / "pyproject.toml").write_text(table)
    with pytest.raises(ConfigError, match="nobody has confirmed"):
        read_config(None, {}, environment={}, start=other)


def test_no_core_is_made_of_what_is_not_confirmed(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "semantic-core.toml").write_text(
        'embedder = "recorded"\nstore = "recorded"\n[embedder_options]\nurl = "https://x.invalid"'
    )
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    with pytest.raises(ConfigError, match="nobody has confirmed"):
        SemanticCore.from_config(plugins=[recorder])
    assert recorder.made == {}


@pytest.mark.parametrize(
    "line",
    ['plugins = ["folder_code"]', 'embedder = "folder_code"', 'store = "folder_code:Store"'],
)
def test_a_file_names_installed_plugins_only_and_no_code_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / "folder_code.py").write_text("raise AssertionError('was imported')")
    (tmp_path / "semantic-core.toml").write_text(line)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="folder_code"):
        SemanticCore.from_config()


@pytest.mark.skipif(os.name == "nt", reason="files there have no such owner")
@pytest.mark.parametrize("name", ["semantic-core.toml", "pyproject.toml"])
def test_a_file_of_another_user_is_refused_where_it_was_only_found(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = tmp_path / name
    table = "[tool.semantic-core]\n" if name == "pyproject.toml" else ""
    file.write_text(f"{table}max_chars = 70\n")
    monkeypatch.setattr(_trust, "_owners", lambda _file: {54_321})
    with pytest.raises(ConfigError, match=r"belongs to another user.*config trust"):
        read_config(None, {}, environment={}, start=tmp_path)
    assert read_config(file, {}, environment={}).values["max_chars"] == 70
    trust(file, read_file(file))
    assert read_config(None, {}, environment={}, start=tmp_path).values["max_chars"] == 70


@pytest.mark.skipif(os.name == "nt", reason="files there have no such owner")
def test_the_owner_is_that_of_the_file_and_of_the_link_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real.toml").write_text("")
    (tmp_path / "link.toml").symlink_to("real.toml")
    assert not _trust.belongs_to_a_stranger(tmp_path / "link.toml")
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    owner = os.stat(tmp_path).st_uid
    assert _trust.belongs_to_a_stranger(tmp_path / "link.toml") is (owner != 0)
    if owner == 0 == os.getuid():
        os.chown(tmp_path / "link.toml", 54_322, -1, follow_symlinks=False)
        assert _trust.belongs_to_a_stranger(tmp_path / "link.toml")


@pytest.mark.parametrize("path", [":memory:", "file:x.db?mode=memory"])
def test_a_path_that_is_no_file_is_not_made_one(tmp_path: Path, path: str) -> None:
    (tmp_path / "semantic-core.toml").write_text(f'path = "{path}"')
    with pytest.raises(ConfigError, match="path must lead to a file"):
        SemanticCore.from_config(tmp_path / "semantic-core.toml")
    assert [one.name for one in tmp_path.iterdir()] == ["semantic-core.toml"]


@pytest.mark.parametrize(
    "file",
    [
        f"a = {'[' * 5_000}{']' * 5_000}",
        f"[{'.'.join(['a'] * 5_000)}]\nb = 1",
        f"[store_options]\n{'.'.join(['a'] * 30)} = 1",
    ],
    ids=["lists", "tables", "options"],
)
def test_a_file_that_is_nested_too_deeply_is_one_clear_error(tmp_path: Path, file: str) -> None:
    with pytest.raises(ConfigError, match="nested more than 20 deep"):
        settings(tmp_path, file)


def test_a_file_that_is_too_large_is_refused_and_not_read_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than 1,000,000 bytes"):
        settings(tmp_path, f'path = "{"x" * 1_000_000}"')


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
