"""Cold starts: whole processes, as a person at a prompt waits for them.

Files are in the page cache, no more.
"""

from __future__ import annotations

from benchmarks._measure import process, side_by_side
from benchmarks._processes import FIRST_SEARCH, command_line, imports_of, python
from benchmarks._report import Figure, Report, Target, timed
from benchmarks._workbench import PER_DOCUMENT, Workbench, batches_of

ROUNDS = 15
SMALL_CHUNKS = 1_000


def run(bench: Workbench) -> Report:
    """Median of whole processes; the imports alone and an empty Python beside them."""
    folder = bench.fresh("cold")
    query = bench.queries[0]
    small = folder / "small.db"
    count = min(len(bench.passages), SMALL_CHUNKS) // PER_DOCUMENT * PER_DOCUMENT
    with bench.open(small, multi_tenant=False) as core:
        for batch in batches_of(bench.passages[:count], bench.vectors[:count]):
            core.store.replace(batch)
    script = (bench.store, str(small), bench.embedder, query, "hybrid")
    program = command_line()
    indexes = {f"{count:,} chunks": small, f"{len(bench.passages):,} chunks": bench.index.path}
    commands = {
        "python -c pass": python("pass"),
        "imports of a first search, alone": imports_of(FIRST_SEARCH, script, folder),
        "import semantic_core": python("import semantic_core"),
        "semantic-core --help": [*program, "--help"],
        "semantic-core plugins list": [*program, "plugins", "list"],
    }
    for name, path in indexes.items():
        search = [*program, "search", query, "--db", str(path)]
        commands[f"semantic-core search, {name}"] = search
        commands[f"semantic-core search --mode text, {name}"] = [*search, "--mode", "text"]
    if not bench.quick:
        for command in commands.values():  # the first run fills the page cache and writes bytecode
            process(command, folder)()
    timings = side_by_side(
        {name: process(command, folder) for name, command in commands.items()},
        bench.rounds(ROUNDS),
        settle=False,
    )
    targets = {"semantic-core plugins list": Target("<=", 250.0)}
    figures = [timed(name, timing, target=targets.get(name)) for name, timing in timings.items()]
    alone = timings["imports of a first search, alone"]
    for name in indexes:
        ratio = timings[f"semantic-core search, {name}"].ratio(alone)
        figures.append(Figure(f"semantic-core search, {name}, of the imports alone", ratio, "x"))
    notes = ("A target in milliseconds holds on an idle machine; ratios hold on a busy one too.",)
    return Report(tuple(figures), {"rounds": bench.rounds(ROUNDS)}, notes)
