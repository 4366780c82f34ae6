"""Runs modelsearch's tests of search backends against this backend and its SQLite backend, in one
process, and prints what became of each test as JSON.

A program: ``python suite_run.py [BACKEND]``, with the folder for its files in SUITE_FOLDER. Without
the name of a backend both are tested.
"""

from __future__ import annotations

import io
import json
import os
import sys
import unittest
from pathlib import Path
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "suite_settings"
BACKENDS = {
    "semantic_core_wagtail": "semantic_core_wagtail",
    "sqlite": "modelsearch.backends.database.sqlite.sqlite",
}


class Recorder(unittest.TextTestResult):
    """Remembers how each test ended. A failed subtest is a failure of its test."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ended: dict[str, str] = {}

    def _end(self, test: unittest.TestCase, how: str) -> None:
        backend, _, name = test.id().rpartition(".")
        self.ended.setdefault(f"{type(test).__name__}.{name}", how)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._end(test, "passed")

    def addFailure(self, test: unittest.TestCase, error: Any) -> None:
        super().addFailure(test, error)
        self._end(test, "failed")

    def addError(self, test: unittest.TestCase, error: Any) -> None:
        super().addError(test, error)
        self._end(test, "failed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._end(test, "skipped")

    def addSubTest(self, test: Any, subtest: Any, error: Any) -> None:
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._end(test, "failed")


def main() -> None:
    """Run both, and print ``{"passed": {...}, "failed": {...}, "details": text}``."""
    import django
    import library
    from django.test.utils import get_runner

    library.write(Path(os.environ["SUITE_FOLDER"]))
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.test import TestCase
    from modelsearch.tests.test_backends import BackendTests

    class SuiteCase(BackendTests, TestCase):
        """The tests, with the rows of the fixture in the index before the first one: each test
        rebuilds it as well, and then only what the one before has changed is read again.
        """

        @classmethod
        def setUpTestData(cls) -> None:
            super().setUpTestData()
            call_command("rebuild_modelsearch_index", stdout=io.StringIO())

    stream = io.StringIO()
    runner = get_runner(settings)(verbosity=0, interactive=False)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    suite = unittest.TestSuite()
    chosen = sys.argv[1:] or list(BACKENDS)
    for name in chosen:
        path = BACKENDS[name]
        case = type(name, (SuiteCase,), {"backend_path": path})
        for test in unittest.defaultTestLoader.getTestCaseNames(case):
            suite.addTest(case(test))
    result = unittest.TextTestRunner(stream, verbosity=0, resultclass=Recorder).run(suite)
    runner.teardown_databases(databases)
    runner.teardown_test_environment()
    print(json.dumps({"ended": result.ended, "details": stream.getvalue()}))  # noqa: T201


if __name__ == "__main__":
    main()
