"""Settings: argument > environment > file > default, and every key reaches its component."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest

from semantic_core import SemanticCore, Space, hookimpl
from semantic_core._config import read_config
from semantic_core._memory import MemoryStore
from semantic_core.errors import ConfigError
from semantic_core.testing import HashEmbedder

KEYS = [
    "path",
    "store",
    "embedder",
    "multi_tenant",
    "max_chars",
    "plugins",
    "store_options",
    "embedder_options",
    "freshness",
    "budget",
    "batch",
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
            "There are batch, budget, embedder, embedder_options, freshness, max_chars",
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


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
