"""A core is used for its own database only; another database under the same alias gets another
core.
"""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

import pytest

from semantic_core.orm import CorePerDatabase


class Core:
    """Stands for a core."""


@pytest.fixture
def made() -> list[Any]:
    return []


@pytest.fixture
def cores(made: list[Any]) -> CorePerDatabase:
    def make(core: Any) -> Any:
        made.append(Core())
        return made[-1]

    return CorePerDatabase(make)


def test_a_core_answers_for_the_database_it_was_added_for(cores: Any) -> None:
    core = Core()
    cores.add(core, "default", "app")
    assert cores.core_for(core, "default", "app") is core


def test_each_other_database_has_one_core_of_its_own(cores: Any, made: list[Any]) -> None:
    core = Core()
    cores.add(core, "default", "app")
    answered = [
        cores.core_for(core, "default", name) for name in ("test_1", "test_2", "test_1", "app")
    ]
    assert answered == [made[0], made[1], made[0], core]


def test_a_core_that_is_added_during_a_test_run_belongs_to_the_test_database(cores: Any) -> None:
    before = Core()
    during = Core()
    cores.add(before, "default", "app")
    cores.add(during, "default", "test_app")
    cores.add(during, "default", "app")
    assert cores.core_for(during, "default", "test_app") is during
    assert cores.core_for(during, "default", "app") is not during


def test_aliases_are_independent(cores: Any) -> None:
    core = Core()
    cores.add(core, "default", "app")
    assert cores.core_for(core, "other", "other_app") is core
    assert cores.core_for(core, "other", "test_other_app") is not core


def test_the_first_database_of_an_alias_is_remembered(cores: Any) -> None:
    assert cores.is_first("default", "app")
    assert not cores.is_first("default", "test_app")
    assert cores.is_first("default", "app")


def test_a_core_nobody_uses_any_more_is_forgotten(cores: Any, made: list[Any]) -> None:
    core = Core()
    cores.add(core, "default", "app")
    cores.core_for(core, "default", "test_app")
    made.clear()
    gone = ref(core)
    del core
    gc.collect()
    assert gone() is None
