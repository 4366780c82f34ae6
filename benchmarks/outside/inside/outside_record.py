"""What became of each test of a suite, one JSON object a line;
runs inside the application's own environment.
"""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Record:
    """Writes to a file what it is told. The last line says what the index did meanwhile."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def outcome(self, test: str, outcome: str, detail: str = "") -> None:
        """outcome: passed, failed, error or skipped. detail: the end of a traceback."""
        self._write({"test": test, "outcome": outcome, "detail": detail[-2_000:]})

    def summary(self, **said: Any) -> None:
        """How many models are bound, how many rows were handed to the index,
        what could not be bound and why.
        """
        self._write({"summary": said})

    def close(self) -> None:
        """Nothing more is told."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def record_unittest(record: Record) -> None:
    """Have every TestResult of this process tell the record, too.

    Django's runner uses the same classes.
    """
    result = unittest.TestResult

    def telling(name: str, outcome: str, detail: Callable[..., str]) -> None:
        told = getattr(result, name)

        def tell(self: Any, test: Any, *args: Any) -> Any:
            record.outcome(test.id(), outcome, detail(self, test, *args))
            return told(self, test, *args)

        setattr(result, name, tell)

    def traceback(self: Any, test: Any, error: Any) -> str:
        return str(self._exc_info_to_string(error, test))

    telling("addSuccess", "passed", lambda *given: "")
    telling("addFailure", "failed", traceback)
    telling("addError", "error", traceback)
    telling("addSkip", "skipped", lambda self, test, reason: reason)
    telling("addExpectedFailure", "passed", lambda *given: "")
    telling("addUnexpectedSuccess", "failed", lambda *given: "unexpected success")

    of_part = result.addSubTest

    def add_part(self: Any, test: Any, part: Any, error: Any) -> Any:
        if error is not None:
            record.outcome(test.id(), "failed", traceback(self, part, error))
        return of_part(self, test, part, error)

    result.addSubTest = add_part  # type: ignore[method-assign]


class PytestRecord:
    """A plugin of pytest that tells the record."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One phase of one test: what its call gave, and what its set-up or its end broke."""
        if report.when == "call" or report.outcome != "passed":
            outcome = (
                report.outcome if report.when == "call" or report.outcome == "skipped" else "error"
            )
            self._record.outcome(report.nodeid, outcome, report.longreprtext)
