"""What was measured, told in README.md and drawn in chart.svg:
``python -m benchmarks.figures`` writes both anew.

Both are made of results.json alone, so they are right as long as nobody edits them; a test compares
them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import attrs

from benchmarks._report import number, results
from benchmarks.peers import REAL

RESULTS = Path(__file__).with_name("results.json")
CHART = Path(__file__).with_name("chart.svg")
README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- figures:start -->\n", "<!-- figures:end -->"
Results = Mapping[str, Any]


@attrs.frozen
class Told:
    """A row of the table in README.md. figures: of one benchmark,
    each in a cell of its own sentence.
    """

    what: str
    benchmark: str
    sentence: str
    figures: tuple[str, ...]


ROWS = (
    Told(
        "Search by words and meaning, 100,000 passages",
        "search",
        "{} median, {} without making the query's vector; {} the first time a query is asked",
        (
            "search, hybrid end to end",
            "search, hybrid without the embedder",
            "search, hybrid without the embedder, each query once",
        ),
    ),
    Told(
        "The same, filtered to 1 % / 50 %",
        "search",
        "{} / {} of the time without a filter",
        (
            "search, hybrid without the embedder, filter 1 %, of unfiltered",
            "search, hybrid without the embedder, filter 50 %, of unfiltered",
        ),
    ),
    Told(
        "Nearest 10 of 100,000 vectors, exact",
        "search",
        "{}; recall@10 {}",
        ("store: nearest 10", "recall@10 of the vector lane, all"),
    ),
    Told(
        "Ingest of real Markdown, default embedder",
        "ingest",
        "{}, {}; unchanged text again {}",
        ("ingest MB/s", "ingest chunks/s", "ingest again, nothing changed MB/s"),
    ),
    Told(
        "Write rows and vectors",
        "store",
        "{} the rate of the same rows in bare SQLite; with the index of words {}",
        (
            "rows + vectors, of the same rows in bare SQLite",
            "with words, of the same rows in bare SQLite",
        ),
    ),
    Told(
        "Save one document of 3 chunks, durable",
        "store",
        "{}, {} the bare commit",
        ("save one new document", "save one new document, of the bare commit"),
    ),
    Told(
        "`semantic-core search`, whole process, 100,000 chunks",
        "cold",
        "{}; `plugins list` {}",
        ("semantic-core search, 100,000 chunks", "semantic-core plugins list"),
    ),
    Told(
        "Quality of the defaults, nDCG@10",
        "quality",
        "Cranfield {}, CISI {}",
        ("cranfield, hybrid", "cisi, hybrid"),
    ),
)


def block(held: Results) -> str:
    """The figures as Markdown: machine, chart, table, peers, and which targets were missed."""
    machine = next(iter(held.values()))["hardware"]
    days = sorted({one["date"][:10] for one in held.values()})
    lines = [
        "## Figures",
        "",
        "{processor}, {cores} cores, {memory_gb} GB, {python}, SQLite {sqlite}".format(**machine)
        + (
            f"; {' to '.join(dict.fromkeys((days[0], days[-1])))}{_busy(held)}. `make bench` "
            "measures all of it on yours."
        ),
        "",
        f"![Time to the ten nearest, and the recall]({CHART.parent.name}/{CHART.name})",
        "",
        "| what | measured |",
        "|---|---|",
        *(f"| {row.what} | {said} |" for row in ROWS if (said := _said(row, held))),
        *_peers(held),
    ]
    kept, missed = (
        [one for _, one in _figures(held) if one.get("met") is met] for met in (True, False)
    )
    lines += ["", f"Targets kept: {len(kept)}. Missed: {len(missed)}{':' if missed else '.'}"]
    if missed:
        lines += [
            "",
            *(f"- {one['what']}: {_value(one)}, wanted {one['target']}" for one in missed),
        ]
    return "\n".join(lines) + "\n"


def _busy(held: Results) -> str:
    """How much else went on, if that was more than the machine has cores for:
    times are longer then, ratios hold.
    """
    load = max(one.get("load_at_end") or 0.0 for one in held.values())
    cores = next(iter(held.values()))["hardware"]["cores"]
    return (
        (
            f"; shared with other work (load up to {number(load)}), so trust the "
            "ratios more than the times"
        )
        if load > cores
        else ""
    )


def _said(row: Told, held: Results) -> str:
    """The sentence of a row; "" if not all of its figures were measured."""
    values = [_of(held, row.benchmark, what) for what in row.figures]
    return row.sentence.format(*(_value(value) for value in values if value)) if all(values) else ""


def _peers(held: Results) -> Iterator[str]:
    """How many times as long the exact ones take."""
    label = " (exact), of Semantic Core"
    times = [
        f"{figure['what'].partition(': ')[2].removesuffix(label)} {number(figure['value'])} x"
        for name, figure in _figures(held)
        if name == "peers" and figure["what"].startswith(REAL) and figure["what"].endswith(label)
    ]
    if times:
        yield f"| The same nearest 10 by others that are exact | {', '.join(times)} as long |"


def _figures(held: Results) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, one in held.items():
        for figure in one["figures"]:
            yield name, figure


def _of(held: Results, benchmark: str, what: str) -> Mapping[str, Any] | None:
    """A figure by what it is of, and where several are, its unit."""
    for name, figure in _figures(held):
        if name == benchmark and what in (figure["what"], f"{figure['what']} {figure['unit']}"):
            return figure
    return None


def _value(figure: Mapping[str, Any]) -> str:
    unit = figure["unit"]
    if unit.startswith("ndcg") or unit == "of 1":
        return f"{figure['value']:.3f}"
    return f"{number(figure['value'])} {unit}"


WIDTH, LEFT, RIGHT, ROW, TOP = 860, 230, 210, 30, 64
LEAST = 0.05
"""Milliseconds at the left end of the scale, which is logarithmic:
the field spans three powers of ten.
"""


def chart(held: Results) -> str:
    """Median time of the ten nearest per library as bars,
    on a card of its own so that any background does.
    """
    bars = sorted(_bars(held), key=lambda bar: bar[1])
    most = max([1.0, *(milliseconds for _, milliseconds, *_ in bars)])
    span = WIDTH - LEFT - RIGHT
    height = TOP + ROW * len(bars) + 40

    def place(milliseconds: float) -> float:
        return LEFT + span * math.log(max(milliseconds, LEAST) / LEAST) / math.log(most / LEAST)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        (
            "<title>Time to the ten nearest of 100,000 passages, per library, and the "
            "share it finds</title>"
        ),
        (
            "<style>text{font:14px system-ui,sans-serif;fill:#1f2328}.dim{fill:#59636e;"
            "font-size:12px}.head{font-weight:600}"
        ),
        ".card{fill:#fff;stroke:#d1d9e0}.ours{fill:#0969da}.exact{fill:#818b98}.near{fill:#c9d1d9}.grid{stroke:#d1d9e0}",
        (
            "@media(prefers-color-scheme:dark)"
            "{text{fill:#f0f6fc}.dim{fill:#9198a1}.card{fill:#0d1117;stroke:#3d444d}"
        ),
        ".ours{fill:#4493f8}.exact{fill:#656c76}.near{fill:#3d444d}.grid{stroke:#3d444d}}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="head" x="20" y="28">{escape(_heading(held))}</text>',
        '<text class="dim" x="20" y="47">median milliseconds, one thread, logarithmic; dark: '
        "exact, light: approximate, "
        "tuned to recall 0.999 or the nearest it gets</text>",
    ]
    for power in range(-1, math.floor(math.log10(most)) + 1):
        x = place(10.0**power)
        bottom = height - 28
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text class="dim" x="{x:.1f}" y="{bottom + 16}" '
            f'text-anchor="middle">{10.0**power:g} ms</text>'
        )
    for number_of, (name, milliseconds, recall, kind) in enumerate(bars):
        y = TOP + ROW * number_of
        end = max(place(milliseconds), LEFT + 2)
        parts.append(f'<text x="{LEFT - 10}" y="{y + 19}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect class="{kind}" x="{LEFT}" y="{y + 5}" '
            f'width="{end - LEFT:.1f}" height="20" rx="3"/>'
        )
        parts.append(
            f'<text x="{end + 8:.1f}" y="{y + 19}">{number(milliseconds)} ms  <tspan '
            f'class="dim">recall {recall}'
        )
        parts[-1] += "</tspan></text>"
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bars(held: Results) -> Iterator[tuple[str, float, str, str]]:
    """(name, milliseconds, recall, kind) of every library in the case that is drawn."""
    for name, figure in _figures(held):
        if (
            name != "peers"
            or not figure["what"].startswith(REAL)
            or not figure.get("note", "").startswith("recall")
        ):
            continue
        library = figure["what"].partition(": ")[2]
        kind = "exact" if library.endswith("(exact)") else "near"
        library = library.removesuffix(" (exact)")
        recall = figure["note"].split()[1].rstrip(",")[:5]
        yield library, figure["value"], recall, "ours" if library == "Semantic Core" else kind


def _heading(held: Results) -> str:
    cases = [
        figure["what"]
        for name, figure in _figures(held)
        if name == "peers" and figure["what"].startswith(REAL)
    ]
    size = cases[0].removeprefix(REAL).partition(": ")[0] if cases else "nothing yet"
    return f"Ten nearest of real text, {size}"


def with_figures(page: str, held: Results) -> str:
    """The page with these figures in its block. Raises ValueError if it has none."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"The page has no {START.strip()} and {END}.")
    return before + start + block(held) + end + after


def main() -> int:
    """Write both anew."""
    held = results(RESULTS)
    if not held:
        print("Nothing was measured yet: make bench", file=sys.stderr)
        return 1
    README.write_text(with_figures(README.read_text(encoding="utf-8"), held), encoding="utf-8")
    CHART.write_text(chart(held), encoding="utf-8")
    print(f"Written: {README.name}, {CHART.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
