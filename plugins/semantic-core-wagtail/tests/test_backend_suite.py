"""modelsearch's own tests of search backends all pass; of its SQLite backend six fail, as
``python suite/suite_run.py`` shows in one run of both.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import programs
import pytest

pytestmark = pytest.mark.slow
SUITE = programs.HERE / "suite"


def test_all_tests_of_modelsearch_pass(tmp_path: Path) -> None:
    programs.need_wagtail()
    program = [str(SUITE / "suite_run.py"), "semantic_core_wagtail"]
    variables = {"SUITE_FOLDER": str(tmp_path)}
    said = programs.run(tmp_path, SUITE, "suite_settings", *program, **variables)
    answer = json.loads(said.strip().splitlines()[-1])
    ended = Counter(answer["ended"].values())
    assert ended["passed"] >= 120, answer["details"]
    assert ended["passed"] == ended.total(), answer["details"]
