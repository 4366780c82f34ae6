"""`PassageBatches`: from documents to calls, and the texts that a call fails for.

A text that is refused is found by splitting the call in halves. The vectors of the other texts are
remembered, so that they are not paid for twice.

Tested by tests/remote/test_passages.py and plugins/semantic-core-gemini/tests/test_embedder.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from semantic_core.remote.errors import (
    AnswerInvalid,
    ModelUnknown,
    PassageRefused,
    PassageTooLong,
    RequestRefused,
)
from semantic_core.remote.recent import Recent
from semantic_core.remote.tokens import packed

if TYPE_CHECKING:
    from semantic_core.types import Vector

KEPT: Final = 1_000
"""Most passages remembered whose vectors came in a run that failed because of others."""
GIVE_UP: Final = 8
"""Single texts refused in a row, with none accepted, after which the request itself is at fault."""

RETRY_INVALID_AFTER: Final = 60.0
"""Seconds for which a text with an invalid vector is not sent again.

So a caller that searches for it by splitting its own calls does not pay for it each time.
"""

SHORTER: Final = 0.75
"""The share of a text that is left when it is too long, and the service does not say how much."""
SURE: Final = 0.97
"""The share of what the service says that it accepts, because its tokens are not our characters."""
CUTS: Final = 12
"""Most times that a text is cut before it counts as refused."""

Embed = Callable[[list[str], int, "dict[int, Vector]"], None]
"""One call: (texts, their estimated tokens, the dict that takes the vectors by position)."""
Item = tuple[str, str, int]
"""Key, text, and estimated tokens of the text."""
Answers = dict[str, "Vector | RequestRefused | AnswerInvalid"]


class PassageBatches:
    """Embeds lists of passages with as many calls as they need. Safe to use from several threads.

    embed: makes one call. estimate: tokens of a text. texts, tokens: most of a call. now: a
    monotonic clock, in seconds.
    """

    def __init__(
        self,
        embed: Embed,
        estimate: Callable[[str], int],
        texts: int,
        tokens: int,
        now: Callable[[], float],
    ) -> None:
        self._embed = embed
        self._estimate = estimate
        self._now = now
        self._texts = texts
        self._tokens = tokens
        self._kept: Recent[Vector | RequestRefused] = Recent(KEPT)
        self._invalid: Recent[tuple[AnswerInvalid, float]] = Recent(KEPT)

    def run(self, texts: Sequence[str]) -> list[Vector]:
        """One vector per text, in order.

        Raises PassageRefused or AnswerInvalid after all other texts are done, and at once an error
        that concerns the service and not a text. The vectors so far are remembered: asked for
        again, they cost nothing.
        """
        keys = [blake2b(text.encode(), digest_size=16).hexdigest() for text in texts]
        found: Answers = {}
        missing: dict[str, str] = {}
        for key, text in zip(keys, texts, strict=True):
            if key in found or key in missing:
                continue
            remembered = self._remembered(key)
            if remembered is None:
                missing[key] = text
            else:
                found[key] = remembered
        try:
            for part in self._parts(missing):
                self._embed_part(part, found)
        finally:
            for key in missing:
                if key in found:
                    self._remember(key, found[key])
        vectors: list[Vector] = []
        for key in keys:
            answer = found[key]
            if isinstance(answer, RequestRefused | AnswerInvalid):
                raise _failure(keys, found)
            vectors.append(answer)
        for key in keys:
            self._kept.pop(key)
        return vectors

    def _remembered(self, key: str) -> Vector | RequestRefused | AnswerInvalid | None:
        invalid = self._invalid.get(key)
        if invalid is not None and self._now() < invalid[1]:
            return invalid[0]
        return self._kept.get(key)

    def _remember(self, key: str, answer: Vector | RequestRefused | AnswerInvalid) -> None:
        if isinstance(answer, AnswerInvalid):
            self._invalid.put(key, (answer, self._now() + RETRY_INVALID_AFTER))
        else:
            self._kept.put(key, answer)

    def _parts(self, missing: Mapping[str, str]) -> Iterator[list[Item]]:
        """The items of each call."""
        items = [(key, text, self._estimate(text)) for key, text in missing.items()]
        for run in packed([tokens for _, _, tokens in items], self._texts, self._tokens):
            yield items[run.start : run.stop]

    def _embed_part(self, part: list[Item], found: Answers) -> None:
        """Put the vectors of these items into `found`, and the error of a text that has none.

        A single text that is too long is cut until the service accepts it.
        """
        accepted = False
        refused_in_a_row = 0
        cuts: Counter[str] = Counter()
        stack = [part]
        while stack:
            items = stack.pop()
            try:
                self._ask(items, found)
                accepted = True
            except AnswerInvalid as error:
                left = [key for key, _, _ in items if key not in found]
                if len(left) == len(items):  # the whole answer is invalid, not one text
                    raise
                found.update(dict.fromkeys(left, error))
            except RequestRefused as error:
                if isinstance(error, ModelUnknown):
                    raise
                items = [item for item in items if item[0] not in found]
                if len(items) > 1:
                    middle = len(items) // 2
                    stack += [items[middle:], items[:middle]]
                    continue
                key, text, tokens = items[0]
                if isinstance(error, PassageTooLong) and len(text) > 1 and cuts[key] < CUTS:
                    cuts[key] += 1
                    shorter = cut_to_fit(text, error)
                    stack.append([(key, shorter, tokens * len(shorter) // len(text))])
                    continue
                refused_in_a_row += 1
                if not accepted and refused_in_a_row >= GIVE_UP:
                    raise
                found[items[0][0]] = error

    def _ask(self, items: list[Item], found: Answers) -> None:
        """One call; the vectors that came are in `found` even if it raises."""
        vectors: dict[int, Vector] = {}
        tokens = sum(item[2] for item in items)
        try:
            self._embed([text for _, text, _ in items], tokens, vectors)
        finally:
            for place, vector in vectors.items():
                key = items[place][0]
                found[key] = vector


def cut_to_fit(text: str, error: PassageTooLong) -> str:
    """The beginning of a text that is too long, by what the service says of it; at least one
    character shorter.
    """
    share = SHORTER
    if error.most and error.given and error.most < error.given:
        share = SURE * error.most / error.given
    return text[: max(1, min(len(text) - 1, int(len(text) * share)))]


def _failure(keys: Sequence[str], found: Answers) -> PassageRefused | AnswerInvalid:
    """The error for the texts without a vector; those that were refused take precedence."""
    refused: dict[int, RequestRefused] = {}
    invalid: dict[int, AnswerInvalid] = {}
    for place, key in enumerate(keys):
        answer = found[key]
        if isinstance(answer, RequestRefused):
            refused[place] = answer
        elif isinstance(answer, AnswerInvalid):
            invalid[place] = answer
    if refused:
        first = min(refused)
        return PassageRefused(
            f"The service refuses {len(refused)} of {len(keys)} texts, the first at position "
            f"{first}: {refused[first].message}",
            hint="Omit or change them; the vectors of the other texts are remembered.",
            places=list(refused),
        )
    first = min(invalid)
    return AnswerInvalid(
        f"{len(invalid)} of {len(keys)} texts have no valid vector, the first at position "
        f"{first}: {invalid[first].message}",
        hint="Try again later; the vectors of the other texts are remembered.",
        places=list(invalid),
    )
