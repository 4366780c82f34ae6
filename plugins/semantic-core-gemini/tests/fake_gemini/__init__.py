"""A Gemini service on this machine, for tests: the real routes and shapes, a bill per key,
and misbehaviour on command.

::

    with FakeGemini() as gemini:
        gemini.misbehave("embed", "unavailable", times=2)
        ...  # any google-genai client with http_options(base_url=gemini.url)
        gemini.bill("the-key").texts
"""

from fake_gemini._faults import FAULTS, Fault
from fake_gemini._meaning import tokens_of, vector_of
from fake_gemini._server import Bill, FakeGemini

__all__ = ["FAULTS", "Bill", "FakeGemini", "Fault", "tokens_of", "vector_of"]
