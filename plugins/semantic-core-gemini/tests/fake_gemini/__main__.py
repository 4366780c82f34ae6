"""``python -m fake_gemini``: the service in a process of its own.

Prints its address, ends when its input does.
"""

from __future__ import annotations

import sys

from fake_gemini import FakeGemini

if __name__ == "__main__":
    with FakeGemini() as gemini:
        gemini.auto = True
        gemini.most_enqueued_tokens = 0
        gemini.state.cheap_vectors = "--cheap" in sys.argv
        sys.stdout.write(f"{gemini.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
