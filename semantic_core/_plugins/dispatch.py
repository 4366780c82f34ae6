"""Calls of hooks: every function of a plugin guarded,
so that each answer and error carries the plugin's name.

Nothing else touches pluggy. ``SEMANTIC_CORE_TRACE=1`` writes a line to standard error for every
function a hook calls: hook, plugin, arguments and answer, each cut to 60 characters, and how long
it took.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

import semantic_core.hookspecs as hookspecs
from semantic_core._plugins.contracts import reranked_fault
from semantic_core._validation import one_line, short
from semantic_core.errors import HookFailed, is_interruption

if TYPE_CHECKING:
    from semantic_core._plugins.records import Part, PluginRecord
    from semantic_core.types import Ref

_TRACED = 60
"""Characters of a value a trace shows."""
_FAILED = (
    "Nothing is shown that it would have taken away. To search without it, leave it out of the "
    "plugins setting; one that only orders can say so: @hookimpl(orders_only=True)."
)
"""What to do about a reranker that fails."""


class Answer(NamedTuple):
    """What one plugin said, or the error it raised instead."""

    plugin: str
    value: Any = None
    error: BaseException | None = None
    lacks: tuple[str, ...] = ()
    """Why it is less than it could be: rerankers that only order, and failed."""
    spent: float = 0.0
    """Seconds the plugin took, without what it wraps."""

    def wrong(self, hook: str, ref: Ref | None, fault: str) -> HookFailed:
        """The error to raise for an answer that is not what the hook promises."""
        return HookFailed(
            f"Plugin {self.plugin!r} broke the contract of {hook}{_of(ref)}: {fault}."
        )


class HookDispatch:
    """The hooks of one front door. Plugins join when it is made and may only leave."""

    def __init__(self, plugins: Sequence[PluginRecord], own: Sequence[str]) -> None:
        """plugins: in the order they are asked. own: names of the kernel's,
        which stand last among them.
        """
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        trace = os.environ.get("SEMANTIC_CORE_TRACE", "") not in ("", "0")
        # pluggy asks the one registered last first, and among those marked trylast, last: so ours
        # come at the end.
        last = [one for one in plugins if one.info.name in own]
        for one in [*reversed([one for one in plugins if one.info.name not in own]), *last]:
            self._manager.register(_Registered(one, trace, one.info.name not in own), one.info.name)

    def first(self, hook: str, ref: Ref | None, **arguments: object) -> Answer | None:
        """The answer of a hook that stops at the first; None if nobody gave one.
        ref: the document it is about.

        Raises HookFailed, naming the plugin that raised.
        """
        try:
            answer: Answer | None = _heard(getattr(self._manager.hook, hook)(**arguments))
        except _Raised as raised:
            if isinstance(raised, _Refused):
                raise raised.failure from raised.cause
            what = _raised(raised.plugin, f"{hook}{_of(ref)}", raised.error)
            raise HookFailed(what) from raised.error
        return answer

    def every(self, hook: str, **arguments: object) -> list[Answer]:
        """The answers, and errors, of a hook that asks every plugin. None is no answer."""
        answers: list[Answer] = _heard(getattr(self._manager.hook, hook)(**arguments))
        return answers

    def drop(self, plugin: str) -> None:
        """Ask that plugin no more."""
        self._manager.unregister(name=plugin)


class _Raised(Exception):
    """Carries an error through pluggy, with the name of the plugin it came from."""

    def __init__(self, plugin: str, error: BaseException) -> None:
        super().__init__(plugin)
        self.plugin = plugin
        self.error = error


class _Refused(_Raised):
    """Carries what is to be raised for a reranker that failed."""

    def __init__(self, plugin: str, error: BaseException | None, failure: HookFailed) -> None:
        super().__init__(plugin, error or failure)
        self.cause = error
        self.failure = failure


class _Interrupted(Exception):
    """Carries what a signal handler raised around pluggy, whose frames keep all they were given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error: list[BaseException] = [error]

    def taken(self) -> BaseException:
        """What was raised; from here on nothing is kept of it."""
        return self._error.pop()


class _Registered:
    """A plugin as pluggy sees it: its functions guarded,
    so that every answer and error carries the plugin's name.

    A guarded function has all parameters of its hook and hands on those the plugin asks for, even
    one with a default, which some releases of pluggy never fill. A wrapper gets answers and errors
    of others as they are. Rerankers are wrappers, all but the kernel's own.
    """

    def __init__(self, found: PluginRecord, trace: bool, foreign: bool) -> None:
        for number, part in enumerate(found.parts):
            options = {**part.options, "specname": part.hook}
            options.pop(hookspecs.ORDERS_ONLY, None)
            if part.hook == hookspecs.RERANK and foreign:
                guard, options["wrapper"] = _reranker(found.info.name, part, trace), True
            else:
                guard = _guarded(found.info.name, part, trace)
            # pluggy reads the parameters of the function it finds behind __wrapped__.
            vars(guard).update(
                {"__wrapped__": getattr(hookspecs, part.hook), f"{hookspecs.PROJECT}_impl": options}
            )
            setattr(self, f"{part.hook}_{number}", guard)

    def __dir__(self) -> list[str]:
        """Where pluggy looks for hooks: nowhere else, which would take it a third of a start."""
        return list(vars(self))


def _caller(part: Part) -> Callable[[tuple[Any, ...]], Any]:
    """Calls the plugin's function with those of its hook's values that it takes."""
    names = tuple(hookspecs.signature_of(part.hook).parameters)
    taken = inspect.signature(part.function).parameters.values()
    by_place = [
        one.name for one in taken if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    by_name = [one.name for one in taken if one.kind == one.KEYWORD_ONLY]

    def call(values: tuple[Any, ...]) -> Any:
        arguments = dict(zip(names, values, strict=True))
        return part.function(
            *[arguments[name] for name in by_place], **{name: arguments[name] for name in by_name}
        )

    return call


def _tell(
    plugin: str,
    hook: str,
    values: tuple[Any, ...],
    value: Any,
    error: BaseException | None,
    spent: float,
) -> None:
    """The line of a trace."""
    arguments = ", ".join(
        f"{name}={short(value, _TRACED)}"
        for name, value in zip(hookspecs.signature_of(hook).parameters, values, strict=True)
    )
    said = f"raised {one_line(error)[:_TRACED]}" if error else short(value, _TRACED)
    sys.stderr.write(f"{hook} {plugin}({arguments}) -> {said} ({spent * 1000:.1f} ms)\n")


def _reranker(plugin: str, part: Part, trace: bool) -> Callable[..., Any]:
    """Gives a reranker what the others left, and holds it to that. None answers for another, and
    one that fails has no say only if it does nothing but order.
    """
    call = _caller(part)
    before_others = bool(part.options.get("wrapper"))
    orders_only = bool(part.options.get(hookspecs.ORDERS_ONLY))

    def reranker(request: Any, hits: Any) -> Generator[None, Answer, Answer]:
        running: Generator[None, Any, Any] | None = None
        error: BaseException | None = None
        value: Any = None
        spent = 0.0
        if before_others:
            running = call((request, list(hits)))
            _, error, spent = _outcome(lambda: _begin(running))
        try:
            theirs = yield
        except BaseException:
            _end_early(running)
            raise
        if theirs.error is not None:
            _end_early(running)
            return theirs
        given = theirs.value
        if error is None:
            mine = list(given)
            value, error, after = _outcome(
                lambda: _end(running, mine, None) if running else call((request, mine))
            )
            spent += after
        if trace:
            _tell(plugin, part.hook, (request, given), value, error, spent)
        if error is not None and is_interruption(error):
            return Answer(plugin, error=_Interrupted(error))
        if error is not None:
            what = _raised(plugin, part.hook, error).removesuffix(".")
            failure = HookFailed(f"{what}.", hint=_FAILED)
        elif fault := _fault(value, given, orders_only):
            failure = Answer(plugin).wrong(part.hook, None, fault)
            failure.hint = _FAILED
        else:
            return Answer(plugin, list(value), lacks=theirs.lacks)
        if orders_only:
            return theirs._replace(lacks=(*theirs.lacks, failure.message))
        raise _Refused(plugin, error, failure)

    return reranker


def _fault(value: Any, given: Sequence[Any], orders_only: bool) -> str:
    """What is wrong with what a reranker made of the hits it was given; "" if nothing is."""
    fault, error, _ = _outcome(lambda: reranked_fault(value, given, orders_only=orders_only))
    return f"its hits cannot be read: {one_line(error)}" if error else str(fault)


def _end_early(running: Generator[None, Any, Any] | None) -> None:
    """Let a wrapper clean up that is not asked any more."""
    if running is not None:
        with suppress(Exception):
            running.close()


def _guarded(plugin: str, part: Part, trace: bool) -> Callable[..., Any]:
    call = _caller(part)

    def answered(
        values: tuple[Any, ...], value: Any, error: BaseException | None, spent: float
    ) -> Answer | None:
        if trace:
            _tell(plugin, part.hook, values, value, error, spent)
        if error is None:
            return None if value is None else Answer(plugin, value, spent=spent)
        if is_interruption(error):
            return Answer(plugin, error=_Interrupted(error))
        if part.hook in hookspecs.COLLECTED:
            return Answer(plugin, error=error, spent=spent)
        raise _Raised(plugin, error) from error

    def function(*values: Any) -> Answer | None:
        return answered(values, *_outcome(lambda: call(values)))

    def wrapper(*values: Any) -> Generator[None, Answer | None, Answer | None]:
        running = call(values)
        _, error, begun = _outcome(lambda: _begin(running))
        if error is not None:
            return answered(values, None, error, begun)
        theirs: Answer | None = None
        raised: _Raised | None = None
        try:
            theirs = yield
        except _Raised as carried:
            raised = carried
        except BaseException:
            _end_early(running)
            raise
        if isinstance(theirs, Answer) and theirs.error is not None:
            _end_early(running)
            return theirs
        given = theirs.value if theirs else None
        before = _members(given)
        value, error, after = _outcome(
            lambda: _end(running, given, raised.error if raised else None)
        )
        if raised is not None and _same(error, raised.error):
            raise raised
        if theirs is not None and value is given and _members(given) == before:
            return theirs
        return answered(values, value, error, begun + after)

    return wrapper if part.options.get("wrapper") else function


def _outcome(step: Callable[[], Any]) -> tuple[Any, BaseException | None, float]:
    """What a plugin's code gives, or raises: anything, SystemExit too; and the seconds it took.

    What a signal handler raised, too: it goes around pluggy, whose frames would keep it, and with
    it all that was at work.
    """
    started = perf_counter()
    try:
        return step(), None, perf_counter() - started
    except BaseException as error:  # noqa: BLE001 - handed on with the plugin's name
        return None, error, perf_counter() - started


def _heard(said: Any) -> Any:
    """An answer or several, unless a signal handler raised while a plugin was at work: that is no
    answer of the plugin, and is raised here.
    """
    for answer in said if isinstance(said, list) else [said]:
        if answer is not None and isinstance(answer.error, _Interrupted):
            raise answer.error.taken()
    return said


def _begin(running: Generator[None, Any, Any]) -> None:
    try:
        next(running)
    except StopIteration:
        raise RuntimeError("its wrapper returned before its yield") from None


def _end(running: Generator[None, Any, Any], given: Any, error: BaseException | None) -> Any:
    """What a wrapper returns once it is told what the others gave or raised."""
    try:
        if error is None:
            running.send(given)
        else:
            running.throw(error)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("its wrapper has a second yield")


def _same(error: BaseException | None, theirs: BaseException) -> bool:
    """Whether a wrapper let an error through. A generator turns StopIteration into RuntimeError."""
    return error is theirs or (
        isinstance(theirs, StopIteration) and error is not None and error.__cause__ is theirs
    )


def _members(value: object) -> list[int] | None:
    """What is in a list, to see whether a wrapper changed it in place; None for anything else."""
    return [id(member) for member in value] if isinstance(value, list) else None


def _raised(plugin: str, hook: str, error: BaseException) -> str:
    return f"Plugin {plugin!r} raised in {hook}: {one_line(error)}"


def _of(ref: Ref | None) -> str:
    return f" of {ref}" if ref else ""
