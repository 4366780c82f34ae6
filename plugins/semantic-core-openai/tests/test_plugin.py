"""The kernel finds the plugin, and opens its embedder with the options of the settings."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import pytest
import semantic_core_openai
from semantic_core_openai import (
    Clock,
    OpenAIEmbedder,
    OpenAIKeyring,
    semantic_embedders,
)
from semantic_core_openai import embedder as module
from semantic_core_openai.endpoint import endpoint_of
from semantic_core_openai.models import MODELS, PRICES

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.testing import FakeEmbeddings

HEAVY = {"httpx2", "httpcore2", "numpy", "tenacity", "openai", "pydantic", "asyncio"}
RING = OpenAIKeyring("some-key")


def test_the_hook_offers_it_by_name() -> None:
    assert semantic_embedders() == {"openai": OpenAIEmbedder}
    assert semantic_core_openai.SEMANTIC_CORE_API == 1
    assert "openai" in {entry.name for entry in entry_points(group="semantic_core")}


def test_every_option_has_a_default_and_is_documented() -> None:
    names = {**vars(module), "OpenAIKeyring": OpenAIKeyring, "Clock": Clock}
    hints = get_type_hints(OpenAIEmbedder.__init__, names, include_extras=True)
    page = (Path(semantic_core_openai.__file__).parents[1] / "README.md").read_text("utf-8")
    for name, parameter in signature(OpenAIEmbedder).parameters.items():
        assert get_origin(hints[name]) is not None and len(hints[name].__metadata__[0]) > 10
        assert parameter.default is not parameter.empty
        assert f"`{name}`" in page or name == "clock"


def test_making_one_loads_nothing_heavy() -> None:
    code = (
        "import sys; from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring\n"
        "made = OpenAIEmbedder(OpenAIKeyring('some-key')); made.space; made.tokens(['a'])\n"
        "print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "name of a model, got none"),
        ({"model": None}, "got NoneType"),
        ({"model": "unknown"}, "dimensions must be given for the model 'unknown'"),
        ({"dimensions": 0}, "at least 1, got 0"),
        ({"dimensions": "768"}, "got '768'"),
        ({"dimensions": 1_537}, "at most 1536 with text-embedding-3-small"),
        ({"model": "text-embedding-ada-002", "dimensions": 512}, "exactly 1536"),
        ({"send_dimensions": "yes"}, "true or false, got 'yes'"),
        ({"max_chars": 0}, "at least 1, got 0"),
        ({"max_tokens": 0}, "at least 1, got 0"),
        ({"batch_size": 2_049}, "at most 2048, got 2049"),
        ({"call_tokens": 0}, "at least 1, got 0"),
        ({"open_tokens": 1.5}, "got 1.5"),
        ({"requests_per_minute": -1}, "at least 0, got -1"),
        ({"tokens_per_minute": "many"}, "got 'many'"),
        ({"timeout": 0}, "above 0, got 0"),
        ({"patience": float("inf")}, "got inf"),
        ({"query_timeout": "5"}, "got '5'"),
        ({"remembered_queries": 0}, "got 0"),
        ({"encoding": "int8"}, "float or base64, got 'int8'"),
        ({"query_fields": {"input": "x"}}, "must not contain input"),
        ({"document_fields": {"model": "x"}}, "must not contain model"),
        ({"query_fields": ["x"]}, "must be a table, got list"),
        ({"query_fields": {"a": object()}}, "what JSON can express"),
        ({"query_prefix": 5}, "must be a str, got int"),
        ({"price": {"interactive": 1}}, "fields"),
        ({"api_version": 5}, "must be a str, got 5"),
        ({"base_url": "ftp://somewhere"}, "https://"),
        ({"base_url": "http://openai.invalid/v1"}, "Write https://openai.invalid"),
        ({"base_url": "https://x.invalid/v1?api-version=1"}, "query or a fragment"),
        ({"base_url": "https://x.invalid/v1", "model": "m", "dimensions": 8}, "price of 'm'"),
    ],
)
def test_an_option_it_cannot_work_with_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        OpenAIEmbedder(**{"keyring": RING, **options})
    assert "some-key" not in str(raised.value)


@pytest.mark.parametrize("model", MODELS)
def test_a_known_model_has_dimensions_limits_and_a_price_of_which_a_batch_is_half(
    model: str,
) -> None:
    made = OpenAIEmbedder(RING, model=model)
    assert made.space.dimensions == MODELS[model].dimensions
    assert made.price("interactive") == 2 * made.price("batch") == PRICES[model].interactive
    assert made.prices.source.startswith("https://") and made.currency == "USD"


def test_what_runs_on_this_machine_is_free_unless_a_price_is_given() -> None:
    local = {"base_url": "http://localhost:11434/v1", "model": "nomic", "dimensions": 768}
    assert OpenAIEmbedder(**local).price("interactive") == 0
    paid = OpenAIEmbedder(**local, price={"interactive": "0.3", "batch": 0.1})
    assert paid.price("interactive") == Decimal("0.3")


def test_limits_per_minute_are_those_of_openai_there_and_none_elsewhere() -> None:
    there, local = endpoint_of("", ""), endpoint_of("http://[::1]:8080/v1", "")
    assert there.is_openai and not there.is_this_machine and not there.given
    assert local.is_this_machine and not local.is_openai and local.given
    made = OpenAIEmbedder(RING)
    assert made.seconds(128 * 6_000, 10) > 60
    assert made.seconds(10, 2_000_000) > 60
    assert OpenAIEmbedder(base_url=local.base_url, model="m", dimensions=8).seconds(10**9, 1) == 0


def test_the_kernel_opens_it_with_the_options_of_a_file(
    service: FakeEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "semantic-core.toml"
    file.write_text(
        'store = "memory"\nembedder = "openai"\n[embedder_options]\n'
        f'base_url = "{service.url}"\nmodel = "small"\ndimensions = 64\n'
        'query_prefix = "query: "\n[embedder_options.document_fields]\ninput_type = "document"\n'
    )
    with SemanticCore.from_config(file) as core:
        core.ingest(Document(Ref("notes", "1"), "Beans climb a pole."))
        assert core.search("beans", mode="vector")[0].ref.key == "1"
        assert core.embedder.space.settings["query_prefix"] == "query: "
    assert [body["input"] for body in service.bodies] == [
        ["Beans climb a pole."],
        ["query: beans"],
    ]
    assert service.bodies[0]["input_type"] == "document"
