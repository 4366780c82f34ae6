"""modelsearch's own tests of search backends: at least as many pass as with its SQLite backend."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import programs
import pytest

pytestmark = pytest.mark.slow
SUITE = programs.HERE / "suite"


def test_as_many_tests_of_modelsearch_pass_as_with_its_sqlite_backend(tmp_path: Path) -> None:
    programs.need_wagtail()
    said = programs.run(
        tmp_path, SUITE, "suite_settings", str(SUITE / "suite_run.py"), SUITE_FOLDER=str(tmp_path)
    )
    answer = json.loads(said.strip().splitlines()[-1])
    passed: Counter[str] = Counter()
    ran: Counter[str] = Counter()
    for test, ended in answer["ended"].items():
        backend = test.partition(".")[0]
        ran[backend] += 1
        passed[backend] += ended == "passed"
    assert ran["semantic_core_wagtail"] == ran["sqlite"] >= 100, ran
    assert passed["sqlite"] >= 100, answer["details"]
    assert passed["semantic_core_wagtail"] == ran["semantic_core_wagtail"], answer["details"]
