"""The kernel finds the plugin, and opens its embedders with the options of the settings."""

from __future__ import annotations

from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import pytest
import semantic_core_onnx
from semantic_core_onnx import open_onnx, open_sentence_transformers, semantic_embedders

from semantic_core.errors import ConfigError


def test_the_hook_offers_both_by_name() -> None:
    assert semantic_embedders() == {
        "onnx": open_onnx,
        "sentence-transformers": open_sentence_transformers,
    }
    assert semantic_core_onnx.SEMANTIC_CORE_API == 1


@pytest.mark.parametrize("opener", semantic_embedders().values())
def test_every_option_has_a_default_and_is_documented(opener: Any) -> None:
    hints = get_type_hints(opener, include_extras=True)
    for name, parameter in signature(opener).parameters.items():
        assert get_origin(hints[name]) is Annotated
        assert len(hints[name].__metadata__[0]) > 10
        assert parameter.default is not parameter.empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "one of auto, mean, cls, got 'max'"),
        ({"max_tokens": -1}, "max_tokens must be an int of at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be an int of at least 1, got 0"),
        ({"threads": True}, "got True"),
        ({"dimensions": "8"}, "got '8'"),
        ({"query_prefix": 3}, "query_prefix must be a str, got 3"),
    ],
)
def test_an_option_it_cannot_work_with_is_refused(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"onnx: .*{message}"):
        open_onnx(path=str(folder), **options)


def test_the_installed_distribution_announces_the_module() -> None:
    found = [
        point.value
        for point in entry_points(group="semantic_core")
        if point.dist is not None
        and point.dist.name == "semantic-core-onnx"
        and point.name == "onnx"
    ]
    if not found:
        pytest.skip("run from the source tree, the distribution is not installed")
    assert found == ["semantic_core_onnx"]
