"""The kernel finds the plugin, and opens its embedder with the options of the settings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from inspect import signature
from typing import Any, get_origin, get_type_hints

import pytest
import semantic_core_gemini
from semantic_core_gemini import (
    Clock,
    GeminiBatchClient,
    GeminiEmbedder,
    GoogleKeyring,
    semantic_embedders,
)
from semantic_core_gemini import embedder as module

from semantic_core.errors import ConfigError
from semantic_core.hookspecs import hook_names

HEAVY = {"google", "httpx2", "httpcore2", "httpx", "pydantic", "numpy", "requests"}
RING = GoogleKeyring("some-key", "other-key")


def test_the_hook_offers_it_by_name() -> None:
    assert semantic_embedders() == {"gemini": GeminiEmbedder}
    assert "semantic_embedders" in hook_names() and hasattr(
        semantic_embedders, "semantic_core_impl"
    )
    assert semantic_core_gemini.SEMANTIC_CORE_API == 1


def test_every_option_has_a_default_and_is_documented() -> None:
    names = {**vars(module), "GoogleKeyring": GoogleKeyring, "Clock": Clock}
    hints = get_type_hints(GeminiEmbedder.__init__, names, include_extras=True)
    for name, parameter in signature(GeminiEmbedder).parameters.items():
        assert get_origin(hints[name]) is not None and len(hints[name].__metadata__[0]) > 10
        assert parameter.default is not parameter.empty
    assert not any(
        "key" in name and name != "keyring" for name in signature(GeminiEmbedder).parameters
    ), "a key is no option: options are written into files and shown"


def test_a_batch_client_has_the_same_options_with_the_same_defaults() -> None:
    theirs = signature(GeminiEmbedder).parameters
    for name, parameter in signature(GeminiBatchClient).parameters.items():
        assert name in theirs and (parameter.default == theirs[name].default or name == "patience")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model": "text-embedding-004"},
            "gemini-embedding-001, gemini-embedding-2, got 'text-embedding-004'",
        ),
        ({"model": None}, "got None"),
        ({"dimensions": 127}, "from 128 to 3072, got 127"),
        ({"dimensions": 3073}, "got 3073"),
        ({"dimensions": "768"}, "got '768'"),
        ({"dimensions": True}, "got True"),
        ({"task": "RETRIEVAL_QUERY"}, "retrieval, question_answering"),
        ({"max_chars": 0}, "at least 1, got 0"),
        ({"max_chars": 2_049}, "at most 2048 with gemini-embedding-001"),
        ({"batch_size": 101}, "at most 100, got 101"),
        ({"batch_size": 1.0}, "got 1.0"),
        ({"texts_per_minute": -1}, "at least 0, got -1"),
        ({"tokens_per_minute": "many"}, "got 'many'"),
        ({"timeout": 0}, "above 0, got 0"),
        ({"patience": float("inf")}, "got inf"),
        ({"query_timeout": "5"}, "got '5'"),
        ({"remembered_queries": 0}, "got 0"),
        ({"price": {"interactive": 1}}, "fields"),
        ({"base_url": "ftp://somewhere"}, "https://"),
        ({"base_url": "http://gemini.invalid"}, "Write https://gemini.invalid"),
        ({"base_url": "http://127.0.0.1.gemini.invalid"}, "this machine only"),
        ({"keyring": "a-key"}, "must be a GoogleKeyring, got str"),
    ],
)
def test_an_option_it_cannot_work_with_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        GeminiEmbedder(**{"keyring": RING, **options})
    assert "a-key" not in str(raised.value)


def test_options_reach_the_embedder() -> None:
    made = GeminiEmbedder(
        RING, model="models/gemini-embedding-2", dimensions=1536, max_chars=8_000, batch_size=7
    )
    assert (made.space.model, made.space.dimensions, made.max_chars, made.batch_size) == (
        "gemini-embedding-2",
        1536,
        8_000,
        7,
    )


def test_neither_the_module_nor_an_embedder_imports_anything_heavy(
    run_python: Callable[..., Any],
) -> None:
    code = f"""
import json, sys
import semantic_core_gemini
from semantic_core_gemini import GeminiBatchClient, GeminiEmbedder, GoogleKeyring
made = semantic_core_gemini.semantic_embedders()["gemini"](GoogleKeyring("a", "b"))
made.space, made.max_chars, made.price("batch"), made.tokens(["x"])
made.estimate(["x"], ask=False), made.batch_client()
print(json.dumps(sorted({HEAVY!r} & set(sys.modules))))
"""
    assert run_python(code) == []


def test_listing_the_plugins_imports_nothing_heavy(run_python: Callable[..., Any]) -> None:
    code = f"""
import contextlib, io, json, sys
from semantic_core.cli import main
sys.argv = ["semantic-core", "plugins", "list"]
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
    main()
heavy = {HEAVY!r} - {{"numpy"}}
print(json.dumps(["gemini" in out.getvalue(), sorted(heavy & set(sys.modules))]))
"""
    assert run_python(code) == [True, []]


def test_nothing_is_asked_of_the_network_before_the_first_text(
    run_python: Callable[..., Any],
) -> None:
    code = """
import json, sys
asked = []
def note(event, arguments):
    if event.startswith("socket."):
        asked.append(event)
sys.addaudithook(note)
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring
GeminiEmbedder(GoogleKeyring("a", "b")).batch_client()
print(json.dumps(asked))
"""
    assert run_python(code) == []


def test_the_installed_distribution_announces_the_module() -> None:
    found = [point.value for point in entry_points(group="semantic_core") if point.name == "gemini"]
    if not found:
        pytest.skip("run from the source tree, the distribution is not installed")
    assert found == ["semantic_core_gemini"]
