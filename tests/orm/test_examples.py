"""The example applications start, take an article in, and find it."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "guides/examples"
ARTICLES = {"Loops": "for and while repeat a block", "Files": "with closes a file for you"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_DB", str(tmp_path / "app.db"))
    monkeypatch.setenv("APP_INDEX", str(tmp_path / "index.db"))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path
    root.handlers[:] = handlers  # Litestar puts one of its own there
    root.setLevel(level)


def imported(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["fastapi_app", "litestar_app"])
def test_an_async_application_finds_what_it_took_in(name: str, folder: Path) -> None:
    app = imported(name).app
    if name == "fastapi_app":
        from fastapi.testclient import TestClient
    else:
        from litestar.testing import TestClient  # type: ignore[assignment]
    with TestClient(app) as client:
        for title, content in ARTICLES.items():
            assert client.post("/articles", params={"title": title, "content": content}).is_success
        found = client.get("/search", params={"q": "how to repeat something"}).json()
    assert found[0]["title"] == "Loops" and len(found) == 2


def test_a_flask_application_finds_what_it_took_in(folder: Path) -> None:
    app = imported("flask_app").create_app()
    client = app.test_client()
    for title, content in ARTICLES.items():
        assert (
            client.post("/articles", query_string={"title": title, "content": content}).status_code
            == 200
        )
    found = client.get("/search", query_string={"q": "how to repeat something"}).json
    assert found[0]["title"] == "Loops" and len(found) == 2
    app.core.close()


def test_a_django_application_finds_what_it_took_in(folder: Path) -> None:
    program = f"""
import sys
sys.path[:0] = [{str(EXAMPLES)!r}, {str(ROOT / "adapters_blueprints")!r}]
import django_app
from django.test import Client
client = Client()
for title, content in {ARTICLES!r}.items():
    assert client.get("/articles", {{"title": title, "content": content}}).status_code == 200
found = client.get("/search", {{"q": "how to repeat something"}}).json()
assert found[0]["title"] == "Loops" and len(found) == 2, found
django_app.core.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_one_file_a_person_reads_at_a_glance(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 90
