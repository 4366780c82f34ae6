"""How fast texts become terms: the analyser "languages" with many texts at once, one core, beside a
plain regular expression and the tokeniser of FTS5 in the same run.

Figures are of a process that has met the words before, and of one that has not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks._measure import Run, Timing, clocked, side_by_side
from benchmarks._report import Figure, Report, Target
from benchmarks._workbench import Workbench
from semantic_core.analysis import WordAnalyser, analyse

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser

ROUNDS = 5
BATCH = 1_000
"""Texts in one call, as many as an ingest writes."""
WORDS = re.compile(r"\w+")
MOST_PASSAGES = 20_000
ENGLISH = "languages, English"
DETECTED = "languages, detected"
COLD = "languages, detected, words not met before"
EXPRESSION = "a regular expression alone"
FTS5 = "unicode61 of FTS5, through apsw"
FAST = Target(">=", 60_000.0)


def run(bench: Workbench) -> Report:
    """Texts a second, and the ratio of each rate to that of the regular expression and of FTS5."""
    from semantic_core_languages import LanguagesAnalyser

    recorded = [passage for _, _, made in bench.recorded for passage in made]
    passages = list(dict.fromkeys(recorded))[: bench.size(MOST_PASSAGES, 400)]
    english = LanguagesAnalyser(["en"])
    detected = LanguagesAnalyser()
    runs: dict[str, Run] = {
        ENGLISH: _analysed(english, passages),
        DETECTED: _analysed(detected, passages),
        COLD: lambda: _analysed(LanguagesAnalyser(), passages)(),
        "words, one by one": _analysed(WordAnalyser(), passages),
        EXPRESSION: clocked(lambda: [WORDS.findall(passage) for passage in passages]),
        FTS5: _fts5(passages),
    }
    for warm in (ENGLISH, DETECTED):
        runs[warm]()
    timings = side_by_side(runs, bench.rounds(ROUNDS))
    words = sum(len(WORDS.findall(passage)) for passage in passages)
    figures = []
    for name, timing in timings.items():
        target = FAST if name == ENGLISH else None
        rate = len(passages) / timing.median
        figures.append(Figure(name, rate, "texts/s", target=target))
    figures += _ratios(timings)
    data = {"passages": len(passages), "words": words, "rounds": len(timings[ENGLISH].runs)}
    return Report(tuple(figures), data, bench.corpus.notes())


def _analysed(analyser: Analyser, passages: Sequence[str]) -> Run:
    def work() -> None:
        for start in range(0, len(passages), BATCH):
            texts = passages[start : start + BATCH]
            analyse(analyser, texts, [None] * len(texts))

    return clocked(work)


def _fts5(passages: Sequence[str]) -> Run:
    """The tokens alone, without their places."""
    import apsw

    connection = apsw.Connection(":memory:")
    tokenise = connection.fts5_tokenizer("unicode61", [])
    encoded = [passage.encode() for passage in passages]
    flag = apsw.FTS5_TOKENIZE_DOCUMENT

    def work() -> None:
        for passage in encoded:
            tokenise(passage, flag, None, include_offsets=False)

    return clocked(work)


def _ratios(timings: Mapping[str, Timing]) -> list[Figure]:
    figures = []
    for name in (ENGLISH, DETECTED, COLD):
        for other in (EXPRESSION, FTS5):
            ratio = timings[other].ratio(timings[name])
            figures.append(Figure(f"{name}, of the rate of {other}", ratio, "x"))
    return figures
