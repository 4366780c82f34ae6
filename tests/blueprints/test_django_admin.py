"""The admin mixin and the management command, in a project of their own that Django's test runner
tests: see `admin_project/blog/tests.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

pytestmark = pytest.mark.slow


def test_the_admin_and_the_command_pass_the_tests_of_their_project(tmp_path: Path) -> None:
    paths = [HERE / "admin_project", ROOT / "adapters_blueprints"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "admin_settings",
        "PROJECT_FOLDER": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "django", "test", "blog"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    counted = re.search(r"Ran (\d+) tests", done.stdout)
    assert counted is not None and int(counted[1]) >= 16, done.stdout
