"""`Loaded`: a model that is loaded when it is first used.

Tested by tests/test_embedder.py and tests/test_reranker.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from semantic_core.errors import EmbedderError

M = TypeVar("M")


class Loaded(Generic[M]):
    """A model that is loaded once, by the first thread that uses it.

    load: loads it. name: of the model, for errors. threads: processors of one call.
    """

    def __init__(self, load: Callable[[], M], name: str, threads: int) -> None:
        self._load = load
        self._name = name
        self._threads = threads
        self._model: M | None = None
        self._process = os.getpid()
        self._lock = Lock()

    def get(self) -> M:
        """The model. Raises EmbedderError in a process that was forked after the model was loaded
        with several threads, which a fork does not take along.
        """
        if self._process != os.getpid():
            if self._model is not None and self._threads != 1:
                raise EmbedderError(
                    f"The model {self._name} was loaded with several threads before this "
                    "process was forked, and cannot be used here.",
                    hint="Set threads to 1, or create the client after the fork.",
                )
            self._lock = Lock()
            self._process = os.getpid()
        model = self._model
        if model is None:
            with self._lock:
                model = self._model or self._load()
                self._model = model
        return model
