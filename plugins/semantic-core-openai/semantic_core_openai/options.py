"""The options of embedder and batch client: their defaults and their checks.

Tested by tests/test_plugin.py and tests/test_keys.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from semantic_core import Space
from semantic_core.errors import ConfigError
from semantic_core.remote import (
    Clock,
    Price,
    positive_seconds,
    price_of,
    text_to_send,
    whole_number,
)
from semantic_core_openai.endpoint import Endpoint, endpoint_of
from semantic_core_openai.keys import KEY_VARIABLE, OpenAIKeyring
from semantic_core_openai.models import FREE, MODELS, PRICES, RULE, KnownModel
from semantic_core_openai.service import PLUGIN, Pacing, ServiceReach

MODEL: Final = "text-embedding-3-small"
MAX_CHARS: Final = 2_000
"""Longest passage by default, in characters: about 400 words."""
BATCH_SIZE: Final = 128
REQUESTS_PER_MINUTE: Final = 3_000
TOKENS_PER_MINUTE: Final = 1_000_000
"""The limits of OpenAI's first paid tier. Elsewhere there is no limit by default."""
CALL_TOKENS: Final = 100_000
"""Most tokens in a call. OpenAI takes 300,000, and they are only estimated."""
JOB_TOKENS: Final = 1_000_000
OPEN_TOKENS: Final = 2_500_000
"""Most tokens in a job, and in all jobs that have not ended: OpenAI takes 3,000,000 in its first
paid tier.
"""
FORM_VERSION: Final = "1"
"""Part of the space. It has to change with any change to the form of requests that changes a
vector, so that old and new vectors are never compared.
"""
_OURS: Final = ("dimensions", "encoding_format", "input", "model")
"""Fields of a request that are not the user's."""


@attrs.frozen
class VectorRecipe:
    """Model and dimensions of the vectors, and how texts become requests.

    Calls and jobs use the same recipe, so a text has the same vector from both. sent_dimensions:
    whether a request says the dimensions. tokens: that the model reads; None if it is unknown.
    """

    model: str
    dimensions: int
    sent_dimensions: bool
    tokens: int | None
    encoding: str
    query_prefix: str
    document_prefix: str
    query_fields: Mapping[str, Any] = attrs.field(hash=False)
    document_fields: Mapping[str, Any] = attrs.field(hash=False)

    @property
    def space(self) -> Space:
        """Identity of the vectors."""
        settings = {"form": FORM_VERSION}
        for name in ("query_prefix", "document_prefix"):
            if getattr(self, name):
                settings[name] = getattr(self, name)
        for name in ("query_fields", "document_fields"):
            if getattr(self, name):
                settings[name] = json.dumps(getattr(self, name), sort_keys=True)
        return Space(self.model, self.dimensions, "retrieval", settings=settings)

    def query(self, text: str) -> str:
        """The text that is sent for a query."""
        return self._prepared(self.query_prefix, text)

    def document(self, text: str) -> str:
        """The text that is sent for a passage."""
        return self._prepared(self.document_prefix, text)

    def query_request(self) -> dict[str, Any]:
        """The body of a request for queries, without the texts."""
        return self._request(self.query_fields)

    def document_request(self) -> dict[str, Any]:
        """The body of a request for passages, without the texts."""
        return self._request(self.document_fields)

    def _request(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {**fields, "model": self.model}
        if self.encoding == "base64":
            body["encoding_format"] = "base64"
        if self.sent_dimensions:
            body["dimensions"] = self.dimensions
        return body

    def _prepared(self, prefix: str, text: str) -> str:
        """The text after its prefix, cut at the model's limit if that is known.

        Raises TextInvalid for what is not text, or cannot be encoded.
        """
        whole = f"{prefix}{text_to_send(text)}"
        return whole if self.tokens is None else RULE.shortened(whole, self.tokens)


@attrs.frozen
class SharedOptions:
    """The checked options that calls and batch jobs share."""

    keyring: OpenAIKeyring
    recipe: VectorRecipe
    reach: ServiceReach
    clock: Clock
    price: Price


def common(
    keyring: OpenAIKeyring | None,
    *,
    base_url: str,
    api_version: str,
    key_variable: str,
    batch_key_variable: str,
    model: str,
    dimensions: int | None,
    send_dimensions: bool | None,
    max_tokens: int | None,
    encoding: str,
    query_prefix: str,
    document_prefix: str,
    query_fields: Mapping[str, Any] | None,
    document_fields: Mapping[str, Any] | None,
    timeout: float,
    patience: float,
    price: Price | Mapping[str, object] | None,
    clock: Clock | None,
) -> SharedOptions:
    """Check these options. Raises ConfigError for an invalid one, KeyMissing without a key."""
    for name, text in (
        ("model", model),
        ("query_prefix", query_prefix),
        ("document_prefix", document_prefix),
        ("key_variable", key_variable),
        ("batch_key_variable", batch_key_variable),
    ):
        if not isinstance(text, str):
            raise ConfigError(f"openai: {name} must be a str, got {type(text).__name__}.")
    if not model.strip():
        raise ConfigError("openai: model must be the name of a model, got none.")
    if encoding not in ("float", "base64"):
        raise ConfigError(f"openai: encoding must be float or base64, got {encoding!r}.")
    endpoint = endpoint_of(base_url, api_version)
    known = MODELS.get(model)
    size = _dimensions(model, known, dimensions)
    if max_tokens is not None:
        whole_number(PLUGIN, "max_tokens", max_tokens)
    recipe = VectorRecipe(
        model=model,
        dimensions=size,
        sent_dimensions=_are_sent(known, size, send_dimensions),
        tokens=max_tokens or (known.tokens if known else None),
        encoding=encoding,
        query_prefix=query_prefix,
        document_prefix=document_prefix,
        query_fields=_fields("query_fields", query_fields),
        document_fields=_fields("document_fields", document_fields),
    )
    reach = ServiceReach(
        endpoint,
        positive_seconds(PLUGIN, "timeout", timeout),
        positive_seconds(PLUGIN, "patience", patience),
    )
    return SharedOptions(
        keyring=_keyring(keyring, key_variable, batch_key_variable, endpoint),
        recipe=recipe,
        reach=reach,
        clock=clock or Clock(),
        price=_price(model, price, endpoint),
    )


def pacing_of(
    endpoint: Endpoint, requests_per_minute: int | None, tokens_per_minute: int | None
) -> Pacing:
    """The limits per minute. None: those of OpenAI's first paid tier there, elsewhere none."""
    limits = []
    for name, given, default in (
        ("requests_per_minute", requests_per_minute, REQUESTS_PER_MINUTE),
        ("tokens_per_minute", tokens_per_minute, TOKENS_PER_MINUTE),
    ):
        usual = default if endpoint.is_openai else 0
        limits.append(usual if given is None else whole_number(PLUGIN, name, given, least=0))
    return Pacing(*limits)


def _dimensions(model: str, known: KnownModel | None, given: int | None) -> int:
    """The dimensions of the vectors. Raises ConfigError if the model cannot have them."""
    if given is not None:
        whole_number(PLUGIN, "dimensions", given)
    if known is None:
        if given is None:
            raise ConfigError(
                f"openai: dimensions must be given for the model {model!r}, which is not known "
                "here.",
                hint="It is the length of its vectors; see the page of the model.",
            )
        return given
    if given is None or given == known.dimensions:
        return known.dimensions
    if not known.shortens or given > known.dimensions:
        least = "at most" if known.shortens else "exactly"
        raise ConfigError(
            f"openai: dimensions must be {least} {known.dimensions} with {model}, got {given}."
        )
    return given


def _are_sent(known: KnownModel | None, dimensions: int, given: bool | None) -> bool:
    """Whether requests say the dimensions: without an option, where they shorten a known model."""
    if given is not None and not isinstance(given, bool):
        raise ConfigError(f"openai: send_dimensions must be true or false, got {given!r}.")
    if given is not None:
        return given
    return known is not None and dimensions != known.dimensions


def _fields(option: str, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Further fields of a request. Raises ConfigError for those that are not the user's."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"openai: {option} must be a table, got {type(given).__name__}.")
    for name in given:
        if name in _OURS:
            raise ConfigError(
                f"openai: {option} must not contain {name}.",
                hint="model, dimensions and encoding are options of their own.",
            )
    try:
        json.dumps(given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"openai: {option} must be what JSON can express: {error}.") from error
    return dict(given)


def _keyring(
    keyring: OpenAIKeyring | None, key_variable: str, batch_key_variable: str, endpoint: Endpoint
) -> OpenAIKeyring:
    """The keys for this endpoint.

    The key of OpenAI is sent to no other host unless its variable is named. Raises ConfigError,
    KeyMissing.
    """
    if keyring is not None:
        if not isinstance(keyring, OpenAIKeyring):
            kind = type(keyring).__name__
            raise ConfigError(f"openai: keyring must be an OpenAIKeyring, got {kind}.")
        if key_variable or batch_key_variable:
            raise ConfigError("openai: give keyring, or the variables of the keys, not both.")
        return keyring
    if key_variable:
        return OpenAIKeyring.from_env(key_variable, batch_key_variable)
    if endpoint.is_this_machine:
        return OpenAIKeyring.from_env("", batch_key_variable)
    if endpoint.is_openai or not endpoint.given:
        return OpenAIKeyring.from_env(KEY_VARIABLE, batch_key_variable)
    raise ConfigError(
        "openai: key_variable must name the environment variable with the key of this base_url; "
        f"{KEY_VARIABLE} is sent to OpenAI only.",
        hint='For example key_variable = "MISTRAL_API_KEY".',
    )


def _price(model: str, given: Price | Mapping[str, object] | None, endpoint: Endpoint) -> Price:
    """The price of the model. A model that is not known is free on this machine."""
    if given is None and model not in PRICES and endpoint.is_this_machine:
        return FREE
    return price_of(PLUGIN, PRICES, model, given)
