"""Passages to vectors: packed into calls, equal ones once, a refused one found by halving,
a vector that does not count left out alone, nothing paid for twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from semantic_core_gemini.errors import AnswerInvalid, ModelUnknown, PassageRefused, RequestRefused
from semantic_core_gemini.models import MOST_TEXTS
from semantic_core_gemini.tokens import estimated, packed
from semantic_core_gemini.vectors import Recent

if TYPE_CHECKING:
    from semantic_core.types import Vector

CALL_TOKENS: Final = 20_000
"""Tokens put into one call at most, about: a call that fails loses little,
and its answer comes in seconds.
"""
KEPT: Final = 1_000
"""Passages remembered that were answered, or refused, in a run that failed because of others."""
GIVE_UP: Final = 8
"""Texts refused one after the other, with none accepted,
after which it is the request that is refused, not the texts.
"""

LEFT_ALONE: Final = 60.0
"""Seconds a text is not asked for again whose vector did not count: whoever looks for it by halving
does not pay for it each time.
"""

Embed = Callable[[list[str], int, "dict[int, Vector]"], None]
"""One call: puts the vectors of these texts into the dict, by place, as they come. The number says
how many tokens they have, about.
"""
Item = tuple[str, str, int]
"""Key, text, and how many tokens it has, about."""
Answers = dict[str, "Vector | RequestRefused | AnswerInvalid"]


class PassageBatches:
    """Runs of passages through one embedder.

    embed: makes one call. texts, tokens: most of a call; None: as much as the service takes.
    now: seconds that only grow.
    """

    def __init__(
        self,
        embed: Embed,
        texts: float | None,
        tokens: float | None,
        now: Callable[[], float],
    ) -> None:
        self._embed = embed
        self._now = now
        self._texts = max(1, int(min(MOST_TEXTS, texts or MOST_TEXTS)))
        self._tokens = int(min(CALL_TOKENS, tokens or CALL_TOKENS))
        self._kept: Recent[Vector | RequestRefused] = Recent(KEPT)
        self._invalid: Recent[tuple[AnswerInvalid, float]] = Recent(KEPT)

    def run(self, texts: Sequence[str]) -> list[Vector]:
        """One vector per text, in order.

        Raises PassageRefused, or AnswerInvalid, when all others are done, and at once whatever
        concerns the service and not a text. What was answered until then is kept: asked for again,
        it costs nothing.
        """
        keys = [blake2b(text.encode(), digest_size=16).hexdigest() for text in texts]
        kept = {key: self._remembered(key) for key in keys}
        found: Answers = {key: value for key, value in kept.items() if value is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        try:
            for part in self._parts(missing):
                self._answer(part, found)
        finally:
            for key in missing:
                if key in found:
                    self._remember(key, found[key])
        vectors = [
            vector
            for vector in map(found.__getitem__, keys)
            if not isinstance(vector, RequestRefused | AnswerInvalid)
        ]
        if len(vectors) < len(keys):
            raise _failure(keys, found)
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
            self._invalid.put(key, (answer, self._now() + LEFT_ALONE))
        else:
            self._kept.put(key, answer)

    def _parts(self, missing: Mapping[str, str]) -> Iterator[list[Item]]:
        """What one call takes, one after the other."""
        items = [(key, text, estimated(text)) for key, text in missing.items()]
        for run in packed([tokens for _, _, tokens in items], self._texts, self._tokens):
            yield items[run.start : run.stop]

    def _answer(self, part: list[Item], found: Answers) -> None:
        """Put the vectors of a part into `found`; for a text that has none, the error."""
        accepted = False
        refused_in_a_row = 0
        stack = [part]
        while stack:
            items = stack.pop()
            try:
                self._ask(items, found)
                accepted = True
            except AnswerInvalid as error:
                left = [key for key, _, _ in items if key not in found]
                if len(left) == len(items):  # the whole answer, not one text
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
                refused_in_a_row += 1
                if not accepted and refused_in_a_row >= GIVE_UP:
                    raise
                found[items[0][0]] = error

    def _ask(self, items: list[Item], found: Answers) -> None:
        """One call; what comes is in `found`, whatever is raised."""
        vectors: dict[int, Vector] = {}
        try:
            self._embed(
                [text for _, text, _ in items], sum(tokens for _, _, tokens in items), vectors
            )
        finally:
            found.update((items[place][0], vector) for place, vector in vectors.items())


def _failure(keys: Sequence[str], found: Answers) -> PassageRefused | AnswerInvalid:
    """What is raised for the texts without a vector: those that are refused go first."""
    errors = [(place, found[key]) for place, key in enumerate(keys)]
    refused = [(place, error) for place, error in errors if isinstance(error, RequestRefused)]
    if refused:
        return PassageRefused(
            f"{len(refused)} of {len(keys)} texts are refused, the first at place "
            f"{refused[0][0]}: {refused[0][1].message}",
            hint="Leave them out, or change them; the vectors of the others are kept.",
            places=[place for place, _ in refused],
        )
    invalid = [(place, error) for place, error in errors if isinstance(error, AnswerInvalid)]
    return AnswerInvalid(
        f"{len(invalid)} of {len(keys)} texts have no vector that counts, the first at place "
        f"{invalid[0][0]}: {invalid[0][1].message}",
        hint="Ask for them again later; the vectors of the others are kept.",
        places=[place for place, _ in invalid],
    )
