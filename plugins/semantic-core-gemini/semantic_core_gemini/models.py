"""The models: their limits, and the form in which they expect queries and documents.

Tested by tests/test_embedder.py and tests/test_plugin.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from semantic_core import Space
from semantic_core.errors import ConfigError
from semantic_core.remote import text_to_send
from semantic_core_gemini.tokens import RULE

MOST_TEXTS: Final = 100
"""Most texts in a call; the service refuses more."""
DIMENSIONS: Final = range(128, 3_073)
"""Possible sizes of a vector. Google recommends 768, 1536 and 3072."""


@attrs.frozen
class Form:
    """How a text becomes a request.

    query, document: templates with ``{}`` for the text. query_task, document_task: the task type
    sent along, "" for none.
    """

    query: str = "{}"
    document: str = "{}"
    query_task: str = ""
    document_task: str = ""


@attrs.frozen
class Model:
    """A model. tokens: its limit for a text. forms: the form of requests, by task."""

    name: str
    tokens: int
    forms: Mapping[str, Form] = attrs.field(hash=False)


def _typed(query: str, document: str) -> Form:
    return Form(query_task=query, document_task=document)


def _prompted(task: str) -> Form:
    return Form(query=f"task: {task} | query: {{}}", document="title: none | text: {}")


def _symmetric(task: str) -> Form:
    return Form(query=f"task: {task} | query: {{}}", document=f"task: {task} | query: {{}}")


MODELS: Final[Mapping[str, Model]] = {
    "gemini-embedding-001": Model(
        "gemini-embedding-001",
        2_048,
        {
            "retrieval": _typed("RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"),
            "question_answering": _typed("QUESTION_ANSWERING", "RETRIEVAL_DOCUMENT"),
            "fact_checking": _typed("FACT_VERIFICATION", "RETRIEVAL_DOCUMENT"),
            "code_retrieval": _typed("CODE_RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"),
            "similarity": _typed("SEMANTIC_SIMILARITY", "SEMANTIC_SIMILARITY"),
            "classification": _typed("CLASSIFICATION", "CLASSIFICATION"),
            "clustering": _typed("CLUSTERING", "CLUSTERING"),
        },
    ),
    "gemini-embedding-2": Model(
        "gemini-embedding-2",
        8_192,
        {
            "retrieval": _prompted("search result"),
            "question_answering": _prompted("question answering"),
            "fact_checking": _prompted("fact checking"),
            "code_retrieval": _prompted("code retrieval"),
            "similarity": _symmetric("sentence similarity"),
            "classification": _symmetric("classification"),
            "clustering": _symmetric("clustering"),
        },
    ),
}
"""The embedding models of the service. Their vectors cannot be compared with each other's."""


def model_named(name: str) -> Model:
    """The model of that name, with or without ``models/``.

    Raises ConfigError for an unknown one.
    """
    known = MODELS.get(name.removeprefix("models/")) if isinstance(name, str) else None
    if known is None:
        raise ConfigError(f"gemini: model must be one of {', '.join(MODELS)}, got {name!r}.")
    return known


def form_of(model: Model, task: str) -> Form:
    """The form of requests for this task. Raises ConfigError for an unknown task."""
    if task not in model.forms:
        raise ConfigError(f"gemini: task must be one of {', '.join(model.forms)}, got {task!r}.")
    return model.forms[task]


FORM_VERSION: Final = "1"
"""Part of the space. It has to change with any change to the forms or to `Recipe` that changes a
vector, so that old and new vectors are never compared.
"""


@attrs.frozen
class Recipe:
    """Model, task and size of the vectors, and how texts become requests.

    Calls and jobs use the same recipe, so a text has the same vector from both.
    """

    model: Model
    task: str
    dimensions: int

    @property
    def form(self) -> Form:
        """The form of the requests."""
        return self.model.forms[self.task]

    @property
    def space(self) -> Space:
        """Identity of the vectors."""
        return Space(self.model.name, self.dimensions, self.task, settings={"form": FORM_VERSION})

    def query(self, text: str) -> str:
        """The text that is sent for a query."""
        return self._filled(self.form.query, text)

    def document(self, text: str) -> str:
        """The text that is sent for a passage."""
        return self._filled(self.form.document, text)

    def job_request(self) -> dict[str, Any]:
        """The fields that all requests of a job have in common."""
        request: dict[str, Any] = {
            "model": f"models/{self.model.name}",
            "outputDimensionality": self.dimensions,
        }
        if self.form.document_task:
            request["taskType"] = self.form.document_task
        return request

    def _filled(self, template: str, text: str) -> str:
        """The template with the text, cut at the model's limit so that the service need not cut it.

        Raises TextInvalid for what is not text, or cannot be encoded.
        """
        room = self.model.tokens - RULE.tokens(template)
        return template.replace("{}", RULE.shortened(text_to_send(text), room))
