"""The benchmark of ORMs gives figures. Nothing here looks at time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._orms import ORMS
from benchmarks._workbench import Workbench
from benchmarks.corpus import FOLDER_VARIABLE
from benchmarks.orm import VARIANTS, saves, whole_table


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """As small as can be, on a text of its own."""
    text = tmp_path / "text"
    text.mkdir()
    for number in range(30):
        sections = "\n\n".join(
            f"## Part {part}\n\n" + f"The tide of day {number} and hour {part}. " * 20
            for part in range(6)
        )
        (text / f"{number}.md").write_text(f"# Day {number}\n\n{sections}", encoding="utf-8")
    monkeypatch.setenv(FOLDER_VARIABLE, str(text))
    return Workbench(tmp_path, scale=0.001, quick=True)


@pytest.mark.parametrize("orm", ORMS)
def test_every_variant_of_a_save_is_measured(orm: str, bench: Workbench) -> None:
    figures = saves(bench, orm, "sqlite3")
    assert [figure.unit for figure in figures] == ["ms", *["x"] * (len(VARIANTS) - 1)]
    assert all(figure.value > 0 for figure in figures)


def test_a_table_is_indexed_and_gone_through_again(bench: Workbench) -> None:
    rows, figures = whole_table(bench)
    assert rows == 200
    assert all(figure.value > 0 for figure in figures)
