"""How texts become requests, the same for both lanes:
a vector is the same from a job and from a call.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from semantic_core import Space
from semantic_core.errors import TextInvalid
from semantic_core_gemini._models import BLANK, Form, Model
from semantic_core_gemini._tokens import estimated, shortened

FORM_VERSION: Final = "1"
"""Changes with anything below that changes a vector; part of the space,
so that old and new vectors never mix.
"""


@attrs.frozen
class Recipe:
    """Model, task and size of the vectors."""

    model: Model
    task: str
    dimensions: int

    @property
    def form(self) -> Form:
        """How the model is asked for this task."""
        return self.model.forms[self.task]

    @property
    def space(self) -> Space:
        """Identity of the vectors."""
        return Space(self.model.name, self.dimensions, self.task, settings={"form": FORM_VERSION})

    def query(self, text: str) -> str:
        """What is sent for a query."""
        return self._put(self.form.query, text)

    def document(self, text: str) -> str:
        """What is sent for a passage."""
        return self._put(self.form.document, text)

    def job_request(self) -> dict[str, Any]:
        """What all requests of a job have in common."""
        request: dict[str, Any] = {
            "model": f"models/{self.model.name}",
            "outputDimensionality": self.dimensions,
        }
        if self.form.document_task:
            request["taskType"] = self.form.document_task
        return request

    def _put(self, around: str, text: str) -> str:
        """The text in its form, no longer than the model reads: cut here,
        and not silently over there.

        Raises TextInvalid for what is not text, or cannot be sent.
        """
        if not isinstance(text, str):
            raise TextInvalid(f"A text to embed must be a str, got {type(text).__name__}.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TextInvalid(
                f"A text to embed holds a lone surrogate at character {error.start}.",
                hint='Decode the source with errors="replace".',
            ) from error
        whole = text if text.strip() else BLANK
        return around.replace("{}", shortened(whole, self.model.tokens - estimated(around)))
