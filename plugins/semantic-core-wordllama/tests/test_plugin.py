"""The kernel finds the plugin, and opens its embedder with the options of the settings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from inspect import signature
from typing import Annotated, Any, get_origin, get_type_hints

import pytest
import semantic_core_wordllama
from semantic_core_wordllama import open_wordllama, semantic_embedders

from semantic_core.errors import ConfigError
from semantic_core.hookspecs import hook_names


def test_the_hook_offers_it_by_name() -> None:
    assert semantic_embedders() == {"wordllama": open_wordllama}
    assert "semantic_embedders" in hook_names()
    assert hasattr(semantic_embedders, "semantic_core_impl")
    assert semantic_core_wordllama.SEMANTIC_CORE_API == 1


def test_every_option_has_a_default_and_is_documented() -> None:
    hints = get_type_hints(open_wordllama, include_extras=True)
    parameters = signature(open_wordllama).parameters
    assert list(parameters) == ["dimensions", "max_chars", "batch_size"]
    for name, parameter in parameters.items():
        assert get_origin(hints[name]) is Annotated
        assert len(hints[name].__metadata__[0]) > 10
        assert isinstance(parameter.default, int)


def test_options_reach_the_embedder() -> None:
    embedder = open_wordllama(dimensions=64, max_chars=900, batch_size=7)
    assert (embedder.space.dimensions, embedder.max_chars, embedder.batch_size) == (64, 900, 7)
    assert embedder.embed_query("hello").shape == (64,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": 100}, "256, 128, 64, got 100"),
        ({"dimensions": "256"}, "got '256'"),
        ({"dimensions": 256.0}, "got 256.0"),
        ({"dimensions": True}, "got True"),
        ({"dimensions": None}, "got None"),
        ({"max_chars": 0}, "at least 1, got 0"),
        ({"max_chars": 10.0}, "got 10.0"),
        ({"batch_size": -1}, "at least 1, got -1"),
        ({"batch_size": True}, "got True"),
    ],
)
def test_an_option_it_cannot_work_with_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_wordllama(**options)


def test_spaces_of_other_sizes_are_other_spaces() -> None:
    spaces = [open_wordllama(dimensions=size).space for size in (256, 128, 64)]
    assert len(set(spaces)) == 3
    assert open_wordllama(max_chars=5, batch_size=5).space == spaces[0]
    assert str(spaces[0]) == (
        "l2_supercat_256 (256 dimensions, 64b47a2dc493-93248f2a9ec3, case=lower, white_space=one)"
    )


def test_the_module_is_light_and_a_space_reads_no_model(run_python: Callable[..., Any]) -> None:
    code = """
import json, sys
from semantic_core_wordllama import open_wordllama, semantic_embedders
embedder = semantic_embedders()["wordllama"]()
embedder.space, embedder.max_chars, embedder.batch_size
heavy = {"numpy", "tokenizers", "safetensors", "wordllama"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    assert run_python(code) == []


def test_nothing_is_asked_of_the_network_and_logging_is_left_alone(
    run_python: Callable[..., Any],
) -> None:
    code = """
import json, logging, sys
def refuse(event, arguments):
    if event.startswith(("socket.", "http.", "urllib.", "subprocess.")):
        raise AssertionError(event)
sys.addaudithook(refuse)
from semantic_core_wordllama import open_wordllama
embedder = open_wordllama()
embedder.embed_query("hello")
embedder.embed_documents(["hello", "world"])
heavy = {"wordllama", "huggingface_hub", "requests", "httpx"}
print(json.dumps([sorted(heavy & set(sys.modules)), len(logging.getLogger().handlers)]))
"""
    assert run_python(code, environment={"HF_HUB_OFFLINE": "0"}) == [[], 0]


def test_the_installed_distribution_announces_the_module() -> None:
    found = [
        point.value for point in entry_points(group="semantic_core") if point.name == "wordllama"
    ]
    if not found:
        pytest.skip("run from the source tree, the distribution is not installed")
    assert found == ["semantic_core_wordllama"]
