"""``init``, ``config show`` and ``doctor``."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from commands import call

from semantic_core import SemanticCore
from semantic_core._config import _KEYS, read_config

IN_A_FILE = set(_KEYS) - {"plugin_options"}
"""The settings that are keys of a file, where the options of plugins are tables of ``plugins``."""


def test_init_writes_a_file_that_names_every_setting_and_changes_none(folder: Path) -> None:
    result = call("init")
    assert result.exit_code == 0
    written = (folder / "semantic-core.toml").read_text()
    for key in IN_A_FILE:
        assert key in written
    assert dict(read_config().values) == {
        **read_config(start=Path("/")).values,
        "path": str(folder / "semantic-core.db"),
    }


def test_every_setting_init_leaves_out_is_one_when_it_is_uncommented(folder: Path) -> None:
    call("init")
    lines = (folder / "semantic-core.toml").read_text().splitlines()
    settings = [
        line.removeprefix("# ") for line in lines if " = " in line or line.startswith(("# [", "["))
    ]
    (folder / "semantic-core.toml").write_text("\n".join(settings))
    assert set(tomllib.loads("\n".join(settings))) == IN_A_FILE
    assert read_config().values["plugin_options"] == {"decay": {"half_life": 30}}
    assert read_config().values["store_options"]


def test_init_overwrites_only_when_told(folder: Path) -> None:
    (folder / "semantic-core.toml").write_text("# mine\n")
    result = call("init")
    assert result.exit_code == 2
    assert "hint: Overwrite it with --force." in result.stderr
    assert (folder / "semantic-core.toml").read_text() == "# mine\n"
    assert call("init", "--force").exit_code == 0
    assert (folder / "semantic-core.toml").read_text() != "# mine\n"
    assert [path.name for path in folder.iterdir()] == ["semantic-core.toml"]


@pytest.mark.parametrize(
    "path", ["my notes.db", 'a "quoted" name\\n.db', "日本.db", "tab\there.db"]
)
def test_init_takes_the_index_by_name(folder: Path, path: str) -> None:
    result = call("init", "--db", path, "--json")
    assert json.loads(result.stdout) == {"created": str(folder / "semantic-core.toml")}
    assert read_config().values["path"] == str(folder / path)


def test_config_show_says_where_each_setting_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "semantic-core.toml").write_text('store = "sqlite"\npath = "here.db"\n')
    monkeypatch.setenv("SEMANTIC_CORE_MAX_CHARS", "500")
    shown = json.loads(call("config", "show", "--db", "there.db", "--json").stdout)
    assert shown["file"] == str(folder / "semantic-core.toml")
    settings = shown["settings"]
    assert settings["path"] == {"value": "there.db", "source": "argument"}
    assert settings["max_chars"] == {"value": 500, "source": "environment SEMANTIC_CORE_MAX_CHARS"}
    assert settings["store"] == {
        "value": "sqlite",
        "source": f"file {folder / 'semantic-core.toml'}",
    }
    assert settings["embedder"] == {"value": "wordllama", "source": "default"}
    text = call("config", "show", "--db", "there.db").stdout
    assert "there.db" in text
    assert "environment SEMANTIC_CORE_MAX_CHARS" in text


@pytest.mark.parametrize("option", ["api_key", "TOKEN", "client_secret", "db_password"])
def test_secrets_are_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    (folder / "semantic-core.toml").write_text(
        f'[embedder_options]\n{option} = "canary-1"\nregion = "eu"\n'
    )
    monkeypatch.setenv(f"SEMANTIC_CORE_STORE_OPTIONS__{option.upper()}", "canary-2")
    for args in (
        ["config", "show"],
        ["config", "show", "--json"],
        ["doctor"],
        ["doctor", "--json"],
    ):
        assert "canary" not in call(*args).output
    assert "eu" in call("config", "show").stdout


def test_names_and_passwords_in_addresses_are_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "semantic-core.toml").write_text(
        "[embedder_options]\n"
        'url = "http://canary-1:canary-2@127.0.0.1:9/v1?region=eu&api_key=canary-3"\n'
        'mirrors = ["https://canary-4@host/"]\n'
    )
    for args in (["config", "show"], ["config", "show", "--json"], ["doctor"], ["search", "x"]):
        told = call(*args)
        assert "canary" not in told.output
    shown = json.loads(call("config", "show", "--json").stdout)
    options = shown["settings"]["embedder_options"]["value"]
    assert options["url"] == "http://(hidden)@127.0.0.1:9/v1?region=eu&api_key=(hidden)"
    assert shown["unconfirmed"] == ["embedder_options.url", "embedder_options.mirrors"]
    assert "are refused until you confirm" in call("config", "show").stdout


def test_what_is_trusted_is_in_force_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("home")))
    file = folder / "semantic-core.toml"
    file.write_text('[embedder_options]\nbase_url = "https://me:pw@x.invalid/v1"\n')
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder / "deep")
    refused = call("search", "x")
    assert refused.exit_code == 2 and f"semantic-core config trust {file}" in refused.stderr
    assert call("doctor").exit_code == 1
    told = json.loads(call("config", "trust", "--json").stdout)
    assert told == {"trusted": str(file), "hosts": {"embedder_options.base_url": "x.invalid"}}
    assert read_config().file == file
    assert "sends to x.invalid" in call("config", "trust", str(file)).stdout
    file.write_text(file.read_text().replace("x.invalid", "y.invalid"))
    assert call("search", "x").exit_code == 2
    file.write_text('[embedder_options]\nkey_variable = "MY_TOKEN"')
    assert "reads the key in MY_TOKEN" in call("config", "trust", str(file)).stdout


def test_trust_reports_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No settings file in this folder" in call("config", "trust").stderr
    assert "Cannot read the settings file" in call("config", "trust", "gone.toml").stderr
    (folder / "semantic-core.toml").write_text("max_chars = 70")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "semantic-core.toml"))
    assert "Cannot write below" in call("config", "trust").stderr


def test_trust_is_taken_back_whatever_was_confirmed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("home")))
    file = folder / "semantic-core.toml"
    other = folder / "other" / "semantic-core.toml"
    other.parent.mkdir()
    other.write_text('[embedder_options]\nbase_url = "https://z.invalid/v1"\n')
    call("config", "trust", str(other))
    for host in ("x.invalid", "y.invalid"):
        file.write_text(f'[embedder_options]\nbase_url = "https://{host}/v1"\n')
        assert call("config", "trust").exit_code == 0
    assert read_config().file == file
    withdrawn = call("config", "untrust", str(file), "--json")
    assert withdrawn.exit_code == 0
    assert json.loads(withdrawn.stdout) == {"untrusted": str(file), "removed": 2}
    assert "semantic-core config trust" in call("search", "x").stderr
    again = call("config", "untrust")
    assert again.exit_code == 1 and "It was not confirmed" in again.stdout
    assert read_config(start=other.parent).file == other
    file.unlink()
    assert call("config", "untrust").exit_code == 2
    assert call("config", "untrust", str(file)).exit_code == 1


def test_a_long_value_is_shown_shortened(folder: Path) -> None:
    (folder / "semantic-core.toml").write_text(f'[store_options]\nx = "{"?k" * 400_000}"\n')
    shown = call("config", "show")
    assert shown.exit_code == 0 and "…" in shown.stdout and len(shown.stdout) < 50_000


def doctor(code: int, *args: str) -> dict[str, Any]:
    result = call("doctor", "--json", *args)
    assert result.exit_code == code, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    assert answer["healthy"] is (code == 0)
    return answer


def told(answer: dict[str, Any], part: str, status: str) -> list[str]:
    return [
        each["message"]
        for each in answer["findings"]
        if (each["part"], each["status"]) == (part, status)
    ]


def test_a_fresh_installation_is_healthy_and_no_index_is_made(folder: Path) -> None:
    answer = doctor(0)
    assert told(answer, "index", "note") == [
        "there is none yet at 'semantic-core.db', so it was not checked"
    ]
    assert told(answer, "embedder", "ok")
    assert "semantic-core-kernel " in told(answer, "parts", "ok")[0]
    assert list(folder.iterdir()) == []


def test_doctor_does_not_call_an_index_sound_that_it_has_not_seen(folder: Path) -> None:
    said = " ".join(call("doctor").stdout.split())
    assert said.endswith("No problem found; there is no index to check.")
    assert "semantic-core doctor --app MODULE:NAME" in said and "SEMANTIC_CORE_APP" in said
    (folder / "a.txt").write_text("some text")
    call("ingest", "a.txt")
    assert call("doctor").stdout.endswith("No problem found.\n")


def test_doctor_says_what_to_do_with_a_damaged_file_and_not_to_call_it_again(folder: Path) -> None:
    ingested(folder)
    file = folder / "semantic-core.db"
    content = bytearray(file.read_bytes())
    content[200 : len(content) // 2] = b"\xff" * (len(content) // 2 - 200)
    file.write_bytes(bytes(content))
    answer = doctor(1)
    remedies = [each["remedy"] for each in answer["findings"] if each["status"] == "problem"]
    assert remedies and not any("Run `semantic-core doctor`" in each for each in remedies)
    assert any("-wal and -shm" in each and "restore a backup" in each for each in remedies)


def test_an_index_is_opened_and_counted(folder: Path) -> None:
    (folder / "a.txt").write_text("some text")
    call("ingest", "a.txt")
    answer = doctor(0)
    assert "'semantic-core.db': 1 document, 1 passage" in told(answer, "index", "ok")
    assert told(answer, "space", "ok")


def test_a_damaged_setting_is_a_problem_and_the_rest_is_still_looked_at(folder: Path) -> None:
    (folder / "semantic-core.toml").write_text("stor = 1")
    answer = doctor(1)
    assert "'stor'" in told(answer, "settings", "problem")[0]
    assert told(answer, "plugins", "ok")


def test_a_foreign_index_is_a_problem(folder: Path) -> None:
    (folder / "diary.db").write_text("Dear diary, " * 100)
    assert "diary.db" in told(doctor(1, "--db", "diary.db"), "index", "problem")[0]
    result = call("doctor", "--db", "diary.db")
    assert result.exit_code == 1
    assert "problem  index" in result.stdout
    assert result.stdout.endswith("1 problem found.\n")


def test_an_index_of_another_embedder_is_a_problem_of_the_space(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.txt").write_text("some text")
    call("ingest", "a.txt")
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER_OPTIONS__DIMENSIONS", "64")
    answer = doctor(1)
    assert told(answer, "space", "problem")


def test_a_missing_plugin_is_a_problem_with_its_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "peewee,wordllama,markdown,nope")
    answer = doctor(1)
    problems = [each for each in answer["findings"] if each["status"] == "problem"]
    assert any("nope" in each["message"] and each["remedy"] for each in problems)


def test_a_broken_plugin_that_the_settings_name_is_reported_once(folder: Path) -> None:
    (folder / "semantic-core.toml").write_text('plugins = ["nope", "nope", "peewee"]\n')
    answer = doctor(1)
    assert sum(each["status"] == "problem" for each in answer["findings"]) == 1
    assert "'nope'" in told(answer, "plugins", "problem")[0]
    assert "were not checked" in told(answer, "index", "note")[-1]


def ingested(folder: Path) -> None:
    for name, text in (("a.txt", "walrus on the ice"), ("b.txt", "otter in the river")):
        (folder / name).write_text(text)
    assert call("ingest", ".").exit_code == 0


def damage(statement: str) -> None:
    import apsw

    connection = apsw.Connection("semantic-core.db")
    connection.execute(statement)
    connection.close()


def test_doctor_repairs_what_is_derived(folder: Path) -> None:
    ingested(folder)
    damage("delete from semantic_index_slot")
    sick = doctor(1)
    assert "its vector cannot be found by scanning" in " ".join(told(sick, "index", "problem"))
    assert call("doctor", "--repair", "--json").exit_code == 0
    doctor(0)


def test_doctor_says_what_it_cannot_repair(folder: Path) -> None:
    ingested(folder)
    damage("update semantic_index_chunk set text = 'changed' where id = 1")
    answer = json.loads(call("doctor", "--repair", "--json").stdout)
    assert not answer["healthy"]
    assert any(
        "Ingest these documents again" in finding["remedy"] for finding in answer["findings"]
    )


def test_a_backup_is_an_index_with_the_same_content(folder: Path) -> None:
    ingested(folder)
    copied = call("backup", "copy.db", "--json")
    assert copied.exit_code == 0
    assert json.loads(copied.stdout) == {
        "path": "copy.db",
        "bytes": (folder / "copy.db").stat().st_size,
    }
    for command in (
        ["documents", "list"],
        ["search", "walrus ice", "--mode", "text"],
        ["search", "river animals"],
    ):
        original, copy = (
            json.loads(call(*command, "--json", *more).stdout) for more in ([], ["--db", "copy.db"])
        )
        for answer in (original, copy):
            answer.pop("timings_ms", None)
        assert copy == original
    assert call("doctor", "--db", "copy.db").exit_code == 0
    again = call("backup", "copy.db")
    assert (again.exit_code, "there already" in again.stderr) == (2, True)


def test_a_backup_is_put_in_place_while_nobody_has_the_index_open(folder: Path) -> None:
    ingested(folder)
    call("backup", "monday.db")
    before = json.loads(call("documents", "list", "--json").stdout)
    (folder / "more.md").write_text("# More\n\nOf something else.\n")
    call("ingest", "more.md")
    assert json.loads(call("documents", "list", "--json").stdout) != before
    with SemanticCore(path="semantic-core.db") as core:
        assert core.stats().documents
        refused = call("restore", "monday.db", "--yes")
        assert (refused.exit_code, "is open in a process" in refused.stderr) == (2, True)
    unanswered = call("restore", "monday.db")
    assert (unanswered.exit_code, "Replace the index?" in unanswered.stderr) == (2, True)
    assert "Confirm it with --yes" in unanswered.stderr and not unanswered.stdout
    assert json.loads(call("documents", "list", "--json").stdout) != before
    done = call("restore", "monday.db", "--yes")
    assert done.exit_code == 0 and "semantic-core ingest" in done.stdout
    assert json.loads(call("documents", "list", "--json").stdout) == before
    elsewhere = call("restore", "monday.db", "--db", "new.db", "--yes", "--json")
    size = (folder / "new.db").stat().st_size
    assert json.loads(elsewhere.stdout) == {"path": "new.db", "bytes": size}
    for wrong in ("missing.db", "more.md"):
        assert call("restore", wrong, "--yes").exit_code == 2
