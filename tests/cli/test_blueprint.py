"""``blueprint``: the adapters of the repository, from wherever the kernel is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import call

from semantic_core.cli import blueprint as command
from semantic_core.orm import blueprints

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "django": "django_adapter.py",
    "django-admin": "django_admin.py",
    "django-command": "django_command.py",
    "pony": "pony_adapter.py",
    "sqlalchemy": "sqlalchemy_adapter.py",
    "tortoise": "tortoise_adapter.py",
}
FILES = {name: ROOT / "adapters_blueprints" / file for name, file in NAMES.items()}


@pytest.mark.parametrize("name", FILES)
def test_what_is_printed_is_the_file_of_the_repository(name: str) -> None:
    result = call("blueprint", name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == FILES[name].read_text("utf-8")


def test_every_adapter_of_the_repository_can_be_printed() -> None:
    assert {one.file for one in command.BLUEPRINTS.values()} == {
        file.name for file in (ROOT / "adapters_blueprints").glob("*.py")
    }


def test_without_a_name_the_adapters_are_listed() -> None:
    listed = call("blueprint").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [*FILES]
    assert all(file.name in line for line, file in zip(listed, FILES.values(), strict=True))
    assert [one["file"] for one in json.loads(call("blueprint", "--json").stdout)] == [
        file.name for file in FILES.values()
    ]


def test_as_json_the_text_comes_with_the_name_of_its_file() -> None:
    answer = json.loads(call("blueprint", "django", "--json").stdout)
    assert answer == {
        "name": "django",
        "file": "django_adapter.py",
        "text": FILES["django"].read_text("utf-8"),
    }


def test_a_file_that_exists_is_overwritten_only_with_force(folder: Path) -> None:
    target = folder / "adapter.py"
    target.write_text("# mine\n")
    refused = call("blueprint", "django", "--output", "adapter.py")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "adapter.py exists and was not changed." in refused.stderr
    assert "hint: Overwrite it with --force." in refused.stderr
    assert target.read_text() == "# mine\n"
    assert call("blueprint", "django", "--output", "adapter.py", "--force").exit_code == 0
    assert target.read_bytes() == FILES["django"].read_bytes()


def test_a_new_file_is_written_and_named(folder: Path) -> None:
    written = call("blueprint", "sqlalchemy", "-o", "adapter.py", "--json")
    assert json.loads(written.stdout) == {"created": str(folder / "adapter.py")}
    assert (folder / "adapter.py").read_bytes() == FILES["sqlalchemy"].read_bytes()
    assert (
        call("blueprint", "sqlalchemy", "-o", "other.py").stdout
        == f"Wrote {folder / 'other.py'}.\n"
    )


def test_a_folder_that_is_not_there_is_named() -> None:
    refused = call("blueprint", "django", "--output", "nowhere/adapter.py")
    assert refused.exit_code == 2
    assert "nowhere" in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("ormar",), "'ormar' is not one of 'django', 'django-admin', 'django-command', 'pony'"),
        (("--output", "adapter.py"), "--output needs the NAME of an adapter."),
        (("django", "--force"), "--force needs --output."),
    ],
)
def test_what_cannot_be_meant_is_refused(args: tuple[str, ...], said: str, folder: Path) -> None:
    refused = call("blueprint", *args)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert [*folder.iterdir()] == []


def test_the_copy_of_the_wheel_is_used_before_that_of_the_repository(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "django_adapter.py").write_text("# of the wheel\n")
    monkeypatch.setattr(blueprints, "FOLDERS", (folder, ROOT / "adapters_blueprints"))
    assert call("blueprint", "django").stdout == "# of the wheel\n"
    assert call("blueprint", "sqlalchemy").stdout == FILES["sqlalchemy"].read_text("utf-8")


def test_an_installation_without_the_file_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blueprints, "FOLDERS", (folder / "empty",))
    refused = call("blueprint", "django")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "django_adapter.py is not part of this installation" in refused.stderr
