"""Asks the plugins that a search can do without, within a limit of time, and not while they fail.

Tested by tests/plugins/test_time_limits.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from semantic_core._plugins.breaker import FAILURES, CircuitBreaker
from semantic_core._plugins.dispatch import Answer
from semantic_core._plugins.time_limit import Call, TimeIsOver, call_within
from semantic_core._validation import one_line

if TYPE_CHECKING:
    from semantic_core._plugins.dispatch import HookFunction

_PILED_UP = "not asked, because its earlier calls have not ended"


class Guard:
    """Calls the functions of one hook that a search can do without.

    The kernel's own functions are called as they are. limit: seconds that those of a plugin may
    take in one search; 0: no limit, and no other thread.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._breakers: dict[str, CircuitBreaker] = defaultdict(CircuitBreaker)
        self._late: dict[str, list[Call]] = {}

    def answer(
        self,
        function: HookFunction,
        arguments: Mapping[str, Any],
        spent: Mapping[str, float],
        seconds: dict[str, float],
    ) -> Answer | None:
        """The answer of one function, or why it is left out; None if it takes no part.

        spent: seconds that plugins took in this search before. seconds: gets those of this call.
        """
        plugin = function.plugin
        if not function.foreign:
            return function.answer(arguments)
        breaker = self._breakers[plugin]
        left = self._limit - spent.get(plugin, 0.0) - seconds.get(plugin, 0.0)
        if self._limit and left <= 0:
            return Answer(plugin, left_out=self._too_slow)
        if self._are_piling_up(plugin):
            return Answer(plugin, left_out=_PILED_UP)
        if not breaker.may_ask():
            return Answer(plugin, left_out=breaker.reason)
        started = perf_counter()
        try:
            if self._limit:
                answer = call_within(left, function.answer, arguments)
            else:
                answer = function.answer(arguments)
        except TimeIsOver as over:
            self._late.setdefault(plugin, []).append(over.call)
            breaker.failed(self._too_slow)
            function.write_trace(arguments, TimeoutError(self._too_slow), perf_counter() - started)
            return Answer(plugin, left_out=self._too_slow)
        finally:
            seconds[plugin] = seconds.get(plugin, 0.0) + perf_counter() - started
        if answer is None:
            breaker.worked()
        elif answer.error is not None:
            breaker.failed(one_line(answer.error))
        return answer  # type: ignore[no-any-return]

    @property
    def _too_slow(self) -> str:
        return f"no answer within {self._limit:g} s"

    def _are_piling_up(self, plugin: str) -> bool:
        """Whether as many calls have not ended as may fail."""
        late = self._late.get(plugin)
        if not late:
            return False
        still = [call for call in late if not call.ended]
        self._late[plugin] = still
        return len(still) >= FAILURES

    def judge(self, plugin: str, fault: str) -> None:
        """Take note of how good an answer was. fault: what is wrong with it; "" if nothing is."""
        if fault:
            self._breakers[plugin].failed(fault)
        else:
            self._breakers[plugin].worked()
