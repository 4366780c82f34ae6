"""What was measured: a few figures in README.md, all in benchmarks/README.md, and chart.svg.
``python -m benchmarks.figures`` writes all three.

They are made of results.json alone, so they are right as long as nobody edits them; a test compares
them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import attrs

from benchmarks._report import number, results
from benchmarks.peers import OURS, REAL

RESULTS = Path(__file__).with_name("results.json")
CHART = Path(__file__).with_name("chart.svg")
PAGE = Path(__file__).with_name("README.md")
README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- figures:start -->\n", "<!-- figures:end -->"
RATIO = ", of Semantic Core"
"""How the figures of peers are called that say how many times as long as ours they take."""
Results = Mapping[str, Any]


@attrs.frozen
class Row:
    """A row of a table. figures: of one benchmark, each in a gap of its own in the sentence."""

    what: str
    benchmark: str
    sentence: str
    figures: tuple[str, ...]


IN_SHORT = (
    Row(
        "Hybrid search among 100,000 passages",
        "search",
        "{} median; {} where each query is asked once",
        ("search, hybrid end to end", "search, hybrid without the embedder, each query once"),
    ),
    Row(
        "Exact vector search, ten nearest of 100,000 x 256",
        "peers",
        "{}; in the same run numpy {}, faiss Flat {}, sqlite-vec {}",
        (
            f"{REAL}100,000 x 256: {OURS} (exact)",
            f"{REAL}100,000 x 256: numpy (exact)",
            f"{REAL}100,000 x 256: faiss Flat (exact)",
            f"{REAL}100,000 x 256: sqlite-vec vec0 (exact)",
        ),
    ),
    Row(
        "Quality of the defaults, nDCG@10",
        "quality",
        "Cranfield {} (full-text search alone {}), CISI {} ({})",
        ("cranfield, hybrid", "cranfield, text", "cisi, hybrid", "cisi, text"),
    ),
    Row(
        "First indexing of a table, Peewee on SQLite",
        "orm",
        "{}",
        ("first index of a table, rows/s",),
    ),
    Row(
        "Save one row, Peewee on SQLite with WAL",
        "save",
        '{} the time without an index; {} with `sync="background"`',
        (
            "save, WAL, inline, of the bare save",
            "save, WAL, background, of the bare save",
        ),
    ),
    Row(
        "50 clients that search and 3 that save without a pause, 3 processes",
        "concurrency",
        "searches {}, saves {} among 100,000 rows",
        (
            "searches a second, 50 searching and 3 saving clients, 3 processes",
            "saves a second, 50 searching and 3 saving clients, 3 processes",
        ),
    ),
)
"""What README.md shows."""
IN_FULL = (
    *IN_SHORT,
    Row(
        "Questions in Russian / German / Chinese that find a passage in English first",
        "embedders",
        "`use` {} / {} / {}, `wordllama` {} / {} / {}",
        tuple(
            f"{name}: questions in {language} that find the passage in English"
            for name in ("use", "wordllama")
            for language in ("ru", "de", "zh")
        ),
    ),
    Row(
        "Embedders of a wheel, in one run",
        "embedders",
        "`use` {} and {} of text, `wordllama` {} and {}; memory of a process {} and {}",
        (
            "use: passages",
            "use: text",
            "wordllama: passages",
            "wordllama: text",
            "use: memory of a process",
            "wordllama: memory of a process",
        ),
    ),
    Row(
        "Hybrid search, by part",
        "search",
        "{} without making the vector of the query; vector search alone {}, full-text search alone "
        "{}; the store's ten nearest, called alone, {} with recall@10 {}",
        (
            "search, hybrid without the embedder",
            "search, vector",
            "search, words",
            "store: nearest 10",
            "recall@10 of the vector search, all",
        ),
    ),
    Row(
        "Hybrid search with a filter that leaves 1 % / 50 %",
        "search",
        "{} / {} of the time without a filter",
        (
            "search, hybrid without the embedder, filter 1 %, of unfiltered",
            "search, hybrid without the embedder, filter 50 %, of unfiltered",
        ),
    ),
    Row(
        "Ingest of real Markdown, default embedder",
        "ingest",
        "{}, {}; unchanged text again {}",
        ("ingest MB/s", "ingest chunks/s", "ingest again, nothing changed MB/s"),
    ),
    Row(
        "Write rows and vectors",
        "store",
        "{} the rate of the same rows in bare SQLite; with the full-text index {}",
        (
            "rows + vectors, of the same rows in bare SQLite",
            "with words, of the same rows in bare SQLite",
        ),
    ),
    Row(
        "Save one document of 3 passages, durable",
        "store",
        "{}, {} the bare commit",
        ("save one new document", "save one new document, of the bare commit"),
    ),
    Row(
        "`semantic-core search`, whole process, 100,000 passages",
        "cold",
        "{}; `plugins list` {}",
        ("semantic-core search, 100,000 chunks", "semantic-core plugins list"),
    ),
)
"""What benchmarks/README.md shows."""


def block(held: Results) -> str:
    """The figures of README.md: the machine, and a few rows."""
    lines = [
        "## Figures",
        "",
        f"{_machine(held)}; {_days(held.values())}{_busy(held)}.",
        f"More, and the targets that were missed: [benchmarks]({PAGE.parent.name}/{PAGE.name}).",
        "",
        *_table(IN_SHORT, held),
    ]
    return "\n".join(lines) + "\n"


def page(held: Results) -> str:
    """The whole of benchmarks/README.md."""
    lines = [
        "# Benchmarks",
        "",
        "This page is written by `python -m benchmarks.figures` from [results.json](results.json). "
        "`make bench` measures all of it",
        "on your machine.",
        "",
        f"{_machine(held)}; {_days(held.values())}{_busy(held)}.",
        "",
        "## Results",
        "",
        *_table(IN_FULL, held),
        "",
        *_peers(held),
        *_targets(held),
        "",
        "## When each benchmark ran",
        "",
        "| benchmark | date | processor | load at its end |",
        "|---|---|---|---|",
        *(_row(name, one) for name, one in sorted(held.items())),
    ]
    return "\n".join(lines) + "\n"


def _machine(held: Results) -> str:
    """The machine, with all processors if it had several in the course of time."""
    machine = next(iter(held.values()))["hardware"]
    processors = dict.fromkeys(one["hardware"]["processor"] for one in held.values())
    rest = "{cores} cores, {memory_gb} GB, {python}, SQLite {sqlite}".format(**machine)
    return f"{' or '.join(processors)}, {rest}"


def _row(name: str, one: Mapping[str, Any]) -> str:
    """When a benchmark ran, and where."""
    processor = one["hardware"]["processor"]
    return f"| {name} | {one['date'][:10]} | {processor} | {_load(one)} |"


def _days(benchmarks: Iterable[Mapping[str, Any]]) -> str:
    days = sorted({one["date"][:10] for one in benchmarks})
    return " to ".join(dict.fromkeys((days[0], days[-1])))


def _load(benchmark: Mapping[str, Any]) -> str:
    load = benchmark.get("load_at_end")
    return "" if load is None else f"{load:.1f}"


def _busy(held: Results) -> str:
    """How busy the machine was, if it had more to do than it has cores for:
    times are longer then, ratios hold.
    """
    load = max(one.get("load_at_end") or 0.0 for one in held.values())
    cores = next(iter(held.values()))["hardware"]["cores"]
    if load <= cores:
        return ""
    return f"; load up to {number(load)}, so trust ratios more than times"


def _table(rows: Sequence[Row], held: Results) -> Iterator[str]:
    yield "| what | measured |"
    yield "|---|---|"
    for row in rows:
        sentence = _sentence(row, held)
        if sentence:
            yield f"| {row.what} | {sentence} |"


def _sentence(row: Row, held: Results) -> str:
    """The sentence of a row; "" if not all of its figures were measured."""
    values = [_of(held, row.benchmark, what) for what in row.figures]
    return row.sentence.format(*(_value(value) for value in values if value)) if all(values) else ""


def _peers(held: Results) -> Iterator[str]:
    """The section on other libraries: the chart, and a table of every case."""
    figures = [figure for name, figure in _figures(held) if name == "peers"]
    by_name = {figure["what"]: figure for figure in figures}
    times = [figure for figure in figures if figure.get("note", "").startswith("recall")]
    if not times:
        return
    yield "## Ten nearest vectors, beside other libraries"
    yield ""
    yield f"![Time to the ten nearest, and the recall]({CHART.name})"
    yield ""
    yield (
        "One thread each. All libraries take turns on the same vectors. In the benchmark `search`, "
        "among other calls of one index, the same call"
    )
    yield (
        'took less time: see "Hybrid search, by part" above. The last column is the median of '
        "the ratios of neighbouring turns, not the ratio of the medians."
    )
    yield ""
    yield "| vectors | library | median | recall@10 | times as long as ours |"
    yield "|---|---|---|---|---|"
    for figure in times:
        case, _, library = figure["what"].partition(": ")
        ratio = by_name.get(f"{figure['what']}{RATIO}")
        shown = f"{number(ratio['value'])}" if ratio else ""
        yield f"| {case} | {library} | {_value(figure)} | {_recall(figure)} | {shown} |"
    yield ""


def _recall(figure: Mapping[str, Any]) -> str:
    """Of the note of a peer's figure, never rounded up."""
    return figure["note"].split()[1].rstrip(",")[:5]


def _targets(held: Results) -> Iterator[str]:
    judged = [(name, figure) for name, figure in _figures(held) if "met" in figure]
    missed = [(name, figure) for name, figure in judged if not figure["met"]]
    yield "## Targets"
    yield ""
    yield f"Met: {len(judged) - len(missed)}. Missed: {len(missed)}."
    if missed:
        yield ""
        yield "| missed | benchmark | measured | wanted |"
        yield "|---|---|---|---|"
        for name, figure in missed:
            yield f"| {figure['what']} | {name} | {_value(figure)} | {figure['target']} |"


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
    """Median time of the ten nearest per library as points on a logarithmic scale,
    on a card of its own so that any background does.
    """
    points = sorted(_points(held), key=lambda point: point[1])
    most = max([1.0, *(milliseconds for _, milliseconds, *_ in points)])
    span = WIDTH - LEFT - RIGHT
    height = TOP + ROW * len(points) + 40

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
        ".card{fill:#fff;stroke:#d1d9e0}.ours{fill:#0969da}.exact{fill:#818b98}"
        ".near{fill:#fff;stroke:#818b98;stroke-width:2}.grid{stroke:#d1d9e0}",
        (
            "@media(prefers-color-scheme:dark)"
            "{text{fill:#f0f6fc}.dim{fill:#9198a1}.card{fill:#0d1117;stroke:#3d444d}"
        ),
        ".ours{fill:#4493f8}.exact{fill:#9198a1}"
        ".near{fill:#0d1117;stroke:#9198a1}.grid{stroke:#3d444d}}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="head" x="20" y="28">{escape(_heading(held))}</text>',
        '<text class="dim" x="20" y="47">median milliseconds, one thread, logarithmic; filled: '
        "exact, hollow: approximate, "
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
    for number_of, (name, milliseconds, recall, kind) in enumerate(points):
        y = TOP + ROW * number_of
        end = max(place(milliseconds), LEFT + 2)
        parts.append(f'<text x="{LEFT - 10}" y="{y + 19}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{end:.1f}" y1="{y + 15}" y2="{y + 15}"/>')
        parts.append(f'<circle class="{kind}" cx="{end:.1f}" cy="{y + 15}" r="6"/>')
        parts.append(
            f'<text x="{end + 14:.1f}" y="{y + 20}">{number(milliseconds)} ms  <tspan '
            f'class="dim">recall {recall}'
        )
        parts[-1] += "</tspan></text>"
    return "\n".join([*parts, "</svg>"]) + "\n"


def _points(held: Results) -> Iterator[tuple[str, float, str, str]]:
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
        yield library, figure["value"], _recall(figure), "ours" if library == OURS else kind


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
    """Write all three."""
    held = results(RESULTS)
    if not held:
        print("Nothing was measured yet: make bench", file=sys.stderr)
        return 1
    README.write_text(with_figures(README.read_text(encoding="utf-8"), held), encoding="utf-8")
    PAGE.write_text(page(held), encoding="utf-8")
    CHART.write_text(chart(held), encoding="utf-8")
    print(f"Written: {README.name}, {PAGE.parent.name}/{PAGE.name}, {CHART.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
