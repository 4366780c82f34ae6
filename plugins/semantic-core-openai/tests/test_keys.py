"""Which key goes to which host, and that none is shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring
from semantic_core_openai.keys import KEY_VARIABLE

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.remote import KeyMalformed, KeyMissing
from semantic_core.testing import FakeEmbeddings

KEY, OTHER = "sk-every-day-0123456789", "sk-for-batches-9876543210"
LOCAL = {"model": "small", "dimensions": 64}


def test_without_a_keyring_openai_gets_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyMissing, match="OPENAI_API_KEY"):
        OpenAIEmbedder()
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert OpenAIEmbedder()._given.keyring.default_key == KEY
    assert OpenAIEmbedder(base_url="https://api.openai.com/v1/")._given.keyring.default_key == KEY


def test_the_key_of_openai_goes_to_no_other_host_unless_its_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, service: FakeEmbeddings
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match="key_variable must name") as raised:
        OpenAIEmbedder(base_url="https://api.mistral.ai/v1", **LOCAL, price=FREE)
    assert KEY not in str(raised.value)
    OpenAIEmbedder(base_url=service.url, **LOCAL).embed_query("hello")
    OpenAIEmbedder(base_url=service.url, key_variable=KEY_VARIABLE, **LOCAL).embed_query("hello")
    assert [request.key for request in service.requests] == ["", KEY]
    assert "authorization" not in service.requests[0].headers


FREE = {"interactive": 0, "batch": 0}


def test_an_address_in_the_environment_may_get_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, service: FakeEmbeddings
) -> None:
    """As with the SDK of OpenAI: both are the user's own."""
    monkeypatch.setenv("OPENAI_BASE_URL", service.url)
    OpenAIEmbedder(**LOCAL).embed_query("hello")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.invalid/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert OpenAIEmbedder()._given.keyring.default_key == KEY
    assert service.requests[0].key == ""


def test_a_named_variable_is_read_and_must_be_set(
    monkeypatch: pytest.MonkeyPatch, service: FakeEmbeddings
) -> None:
    with pytest.raises(KeyMissing, match="MISTRAL_API_KEY"):
        OpenAIEmbedder(base_url=service.url, key_variable="MISTRAL_API_KEY", **LOCAL)
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BATCH_KEY", OTHER)
    made = OpenAIEmbedder(
        base_url=service.url,
        key_variable="MISTRAL_API_KEY",
        batch_key_variable="OPENAI_BATCH_KEY",
        **LOCAL,
    )
    made.embed_query("hello")
    made.find("a job")
    assert [request.key for request in service.requests] == [KEY, OTHER]
    assert made.account and KEY not in made.account and OTHER not in made.account


def test_jobs_use_the_same_key_unless_there_is_another(service: FakeEmbeddings) -> None:
    for ring, wanted in ((OpenAIKeyring(KEY), KEY), (OpenAIKeyring(KEY, OTHER), OTHER)):
        service.requests.clear()
        OpenAIEmbedder(ring, base_url=service.url, **LOCAL).find("a job")
        assert [request.key for request in service.requests] == [wanted]


def test_azure_gets_the_key_in_its_own_header_and_the_version_of_its_interface(
    service: FakeEmbeddings,
) -> None:
    base = service.url.replace("/v1", "/openai/deployments/mine")
    made = OpenAIEmbedder(
        OpenAIKeyring(KEY), base_url=base, api_version="2024-10-21", **LOCAL, price=FREE
    )
    made.embed_query("hello")
    [request] = service.requests
    assert request.path == "/openai/deployments/mine/embeddings?api-version=2024-10-21"
    assert request.headers["api-key"] == KEY and "authorization" not in request.headers
    for ask in (
        made.batch_client,
        lambda: made.find("a job"),
        lambda: made.submit({"k": "t"}, "j"),
    ):
        with pytest.raises(ConfigError, match="no batch jobs with api_version"):
            ask()
    assert made.account == ""


@pytest.mark.parametrize("key", ["", "two words", "ключ", "line\nbreak", 12345, b"bytes"])
@pytest.mark.parametrize("place", ["default_key", "batch_key"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(key: Any, place: str) -> None:
    with pytest.raises(KeyMalformed) as raised:
        OpenAIKeyring(**{"default_key": KEY, place: key})
    told = f"{raised.value} {raised.value!r}"
    assert KEY not in told and (len(str(key).strip()) < 5 or str(key) not in told)


def test_a_keyring_or_variables_and_not_both() -> None:
    with pytest.raises(ConfigError, match="not both"):
        OpenAIEmbedder(OpenAIKeyring(KEY), key_variable=KEY_VARIABLE)
    with pytest.raises(ConfigError, match="must be an OpenAIKeyring, got str") as raised:
        OpenAIEmbedder(KEY)  # type: ignore[arg-type]
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "line", ['base_url = "{url}"', 'key_variable = "GITHUB_TOKEN"', 'batch_key_variable = "X"']
)
def test_a_settings_file_that_came_with_a_folder_names_no_host_and_no_key_unconfirmed(
    line: str, service: FakeEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GITHUB_TOKEN", "ghp-0123456789")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    Path("semantic-core.toml").write_text(
        f'embedder = "openai"\n[embedder_options]\n{line.format(url=service.url)}\n'
    )
    with pytest.raises(ConfigError, match="nobody has confirmed that") as raised:
        SemanticCore.from_config(store="memory")
    assert "config trust" in raised.value.hint and service.requests == []
    assert os.environ["GITHUB_TOKEN"] not in str(raised.value)
