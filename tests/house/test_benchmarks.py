"""The benchmarks give figures, finite ones, from real text, and say what they are made of.

Nothing here looks at time.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import BENCHMARKS, RESULTS, main
from benchmarks._measure import Timing, hardware, per_query, side_by_side
from benchmarks._report import Figure, Report, Target, results, write
from benchmarks._workbench import least_scores, recall
from benchmarks.corpus import FOLDER_VARIABLE, clustered, find_corpus, passages_of, queries_of
from benchmarks.figures import CHART, PAGE, README, block, chart, page, with_figures
from benchmarks.peers import ADAPTERS, OURS, synthetic
from benchmarks.peers import main as measure_peers
from benchmarks.quality import COLLECTIONS
from semantic_core import Chunk, ChunkId, Document

TOPICS = (
    "wind tunnels",
    "steam engines",
    "card catalogues",
    "tide tables",
    "glass lenses",
    "paper mills",
    "salt pans",
)


@pytest.fixture
def real_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Markdown the benchmarks find instead of what is installed here."""
    folder = tmp_path / "text"
    for number, topic in enumerate(TOPICS * 3):
        sections = [
            f"## The {word} of {topic}, part {number}\n\n"
            + f"What people say about the {word} of {topic} differs. " * 12
            for word in ("history", "care", "price", "future")
        ]
        place = folder / topic.replace(" ", "-") / f"{number}.md"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"# {topic.title()}\n\n" + "\n\n".join(sections), encoding="utf-8")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


def measured(name: str, folder: Path) -> dict[str, float]:
    """What a tiny run of one benchmark writes down: value by what it is of."""
    path = folder / "results.json"
    assert main([name, "--quick", "--scale", "0.001", "--json", str(path)]) == 0
    written = json.loads(path.read_text(encoding="utf-8"))["benchmarks"][name]
    assert written["hardware"]["cores"] >= 1
    assert written["date"].endswith("+00:00")
    figures = written["figures"]
    for figure in figures:
        assert all(
            math.isfinite(figure[column])
            for column in ("value", "p99", "least")
            if column in figure
        ), figure
        assert figure["value"] >= 0, figure
    return {f"{figure['what']} {figure['unit']}": figure["value"] for figure in figures}


@pytest.mark.slow
def test_ingest_tells_rates_and_shares_that_add_up(real_text: Path, tmp_path: Path) -> None:
    figures = measured("ingest", tmp_path)
    assert figures["ingest MB/s"] > 0
    assert figures["ingest chunks/s"] > 0
    shares = [value for what, value in figures.items() if what.startswith("share: ")]
    assert sum(shares) == pytest.approx(100, abs=1)


@pytest.mark.slow
def test_search_measures_every_kind_and_misses_nothing(real_text: Path, tmp_path: Path) -> None:
    figures = measured("search", tmp_path)
    for kind in ("words", "vector", "hybrid without the embedder", "hybrid end to end"):
        assert figures[f"search, {kind} ms"] > 0
    found = {what: value for what, value in figures.items() if what.startswith("recall@10")}
    assert len(found) == 3
    assert set(found.values()) == {1.0}


@pytest.mark.slow
def test_store_compares_itself_with_bare_sqlite(real_text: Path, tmp_path: Path) -> None:
    figures = measured("store", tmp_path)
    assert figures["rows + vectors, of the same rows in bare SQLite x"] > 0
    shares = [value for name, value in figures.items() if name.startswith("share: ")]
    assert len(shares) >= 6 and sum(shares) == pytest.approx(100, abs=0.01)  # each is rounded
    assert figures["save one new document, of the bare commit x"] > 0
    assert figures["open and first hybrid search, of the imports alone x"] > 0


@pytest.mark.slow
def test_embedders_of_a_wheel_are_measured_beside_each_other(
    real_text: Path, tmp_path: Path
) -> None:
    figures = measured("embedders", tmp_path)
    for name in ("wordllama", "use"):
        assert figures[f"{name}: passages /s"] > 0
        assert figures[f"{name}: memory of a process MB"] > 20
    for language in ("ru", "de", "zh"):
        what = f"questions in {language} that find the passage in English of 20"
        assert figures[f"use: {what}"] >= 18 > figures[f"wordllama: {what}"]


@pytest.mark.slow
def test_cold_starts_whole_processes(real_text: Path, tmp_path: Path) -> None:
    figures = measured("cold", tmp_path)
    assert figures["python -c pass ms"] > 0
    assert figures["semantic-core plugins list ms"] > 0


def test_peers_get_the_same_vectors_and_the_exact_ones_miss_nothing(tmp_path: Path) -> None:
    answer = measure_peers(tmp_path, "sqlite", *synthetic(300, 32, 5))
    assert {OURS, "numpy"} <= set(answer["peers"])
    assert set(answer["peers"]) | {name.partition(" at ")[0] for name in answer["left_out"]} == set(
        ADAPTERS
    )
    for name, held in answer["peers"].items():
        assert len(held["seconds"]) == 5
        assert held["recall"] == 1.0 or not ADAPTERS[name].exact, name


def test_a_corpus_is_in_the_same_order_wherever_its_files_are(
    real_text: Path, tmp_path: Path
) -> None:
    first = find_corpus(10_000)
    moved = tmp_path / "elsewhere" / "deep"
    moved.parent.mkdir()
    real_text.rename(moved)
    second = find_corpus(10_000, str(moved.parent))
    assert [document.text for document in first.documents] == [
        document.text for document in second.documents
    ]


def test_a_file_that_is_there_twice_counts_once(real_text: Path) -> None:
    before = find_corpus(1).files
    everything = find_corpus(50_000)
    for path in list(real_text.rglob("*.md")):
        path.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    assert before == find_corpus(1).files
    assert find_corpus(50_000) == everything


def test_too_little_text_is_repeated_in_variations_and_said_so(real_text: Path) -> None:
    corpus = find_corpus(500_000)
    assert corpus.bytes >= 500_000
    assert corpus.variations >= 1
    assert any("repeated" in note for note in corpus.notes())
    texts = [document.text for document in corpus.documents]
    assert len(texts) == len(set(texts))


def test_a_machine_without_text_is_told_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=FOLDER_VARIABLE):
        find_corpus(1_000, str(tmp_path))


def test_passages_are_as_many_as_asked_for_and_all_different(real_text: Path) -> None:
    documents = [(document, _paragraphs(document)) for document in find_corpus(20_000).documents]
    real = sum(len(chunks) for _, chunks in documents)
    made = passages_of(documents, real * 4)
    assert len(made) == real * 4 == len(set(made))
    assert passages_of(documents, real * 4) == made
    queries = queries_of(documents, 5)
    assert len(queries) == len(set(queries)) == 5


def _paragraphs(document: Document) -> list[Chunk]:
    chunks, start = [], 0
    for position, text in enumerate(document.text.split("\n\n")):
        chunks.append(Chunk(ChunkId(document.ref, position), text, start, start + len(text)))
        start += len(text) + 2
    return chunks


def test_synthetic_vectors_are_of_length_one_and_clustered() -> None:
    vectors = clustered(2_000, 48)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, clustered(2_000, 48))
    near = np.sort(vectors[:50] @ vectors.T, axis=1)[:, -10]
    assert near.mean() > 5 / 48**0.5, "the neighbours of a vector must be nearer than chance has it"


def test_a_hit_as_good_as_the_tenth_counts_and_a_worse_one_does_not() -> None:
    matrix = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 2, 3]]
    query = np.array([0.8, 0.6, 0, 0], dtype=np.float32)
    (least,) = least_scores(query[None], matrix, 2)
    assert least == pytest.approx(0.8)
    assert recall([0, 2], query, matrix, least, 2) == 1.0, "a tie may be broken either way"
    assert recall([0, 0], query, matrix, least, 2) == 0.5, "a row found twice counts once"
    assert recall([3, 4], query, matrix, least, 2) == 0.0
    assert recall([], query, matrix, least, 2) == 0.0


def test_timings_tell_median_p99_and_the_ratio_of_neighbours() -> None:
    slow, fast = Timing((2.0, 8.0, 4.0)), Timing((1.0, 2.0, 2.0))
    assert (slow.median, slow.p99, slow.least) == (4.0, 8.0, 2.0)
    assert slow.ratio(fast) == 2.0
    assert Timing(tuple(range(1, 201))).p99 == 198


def test_runs_alternate_so_that_noise_falls_on_all() -> None:
    seen: list[str] = []
    side_by_side({name: lambda name=name: float(seen.append(name) or 0) for name in "abc"}, 2)
    assert "".join(seen) == "abccba"
    asked: list[tuple[str, str]] = []
    timings = per_query(
        {name: lambda query, name=name: asked.append((name, query)) for name in "ab"}, ["x", "y"], 2
    )
    assert [len(timing.runs) for timing in timings.values()] == [4, 4]
    assert asked[-8:] == [
        ("a", "x"),
        ("b", "x"),
        ("b", "y"),
        ("a", "y"),
        ("b", "x"),
        ("a", "x"),
        ("a", "y"),
        ("b", "y"),
    ]


def test_a_figure_is_finite_and_knows_its_target() -> None:
    assert Target("<=", 2.0).met(2.0)
    assert not Target(">=", 2.0).met(1.9)
    assert Figure("a save", 3.0, "x", target=Target("<=", 2.0)).json()["met"] is False
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            Figure("a save", value, "x")


def test_a_run_that_was_cut_short_is_taken_up_where_it_ended(
    real_text: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(COLLECTIONS, raising=False)
    path = tmp_path / "results.json"
    write(
        path,
        "cold",
        {"hardware": {"commit": hardware()["commit"]}},
        Report((Figure("a start", 1.0, "ms"),)),
    )
    before = results(path)["cold"]
    assert main(["cold", "quality", "--quick", "--resume", "--json", str(path)]) == 0
    assert "cold is measured already" in capsys.readouterr().out
    assert list(results(path)) == ["cold", "quality"]
    assert results(path)["cold"] == before


def test_the_readme_the_page_and_the_chart_say_what_was_measured() -> None:
    held = results(RESULTS)
    assert set(held) == set(BENCHMARKS), "make bench"
    assert README.read_text(encoding="utf-8") == with_figures(
        README.read_text(encoding="utf-8"), held
    ), "make bench"
    assert PAGE.read_text(encoding="utf-8") == page(held), "make bench"
    assert CHART.read_text(encoding="utf-8") == chart(held)


def rows(text: str) -> list[str]:
    """The rows of the tables of what was measured."""
    return [
        line
        for table in text.split("| what | measured |\n|---|---|\n")[1:]
        for line in table.partition("\n\n")[0].splitlines()
    ]


def test_the_readme_shows_few_figures_and_all_of_them_are_on_the_page() -> None:
    held = results(RESULTS)
    shown, everything = rows(block(held)), rows(page(held))
    assert 1 <= len(shown) <= 6
    assert set(shown) < set(everything)
    names = [line.split(" | ")[0] for line in everything]
    assert len(names) == len(set(names)), "one name has one row"


def test_the_readme_and_the_chart_agree_on_the_time_of_each_library() -> None:
    held = results(RESULTS)
    (nearest,) = [line for line in rows(block(held)) if "ten nearest" in line]
    times = re.findall(r"[\d.,]+ ms", nearest)
    drawn = chart(held)
    names = ("Semantic Core", "numpy", "faiss Flat", "sqlite-vec vec0")
    assert len(times) == len(names)
    for name, time in zip(names, times, strict=True):
        point = drawn.partition(f">{name}</text>")[2].partition("</text>")[0]
        assert f">{time} " in point, f"{name}: {time} in README.md, in the chart {point}"


def test_a_target_that_was_missed_is_named() -> None:
    hardware = {
        "processor": "A",
        "cores": 2,
        "memory_gb": 8.0,
        "python": "CPython 3",
        "sqlite": "3",
    }
    report = Report(
        (
            Figure("fast", 3.0, "x", target=Target("<=", 2.0)),
            Figure("good", 1.0, "x", target=Target("<=", 2.0)),
        )
    )
    text = page(
        {"store": {"date": "2026-01-02T03:04:05+00:00", "hardware": hardware, **report.json()}}
    )
    assert "fast" in text.partition("Missed")[2]
    assert "good" not in text.partition("Missed")[2]


@pytest.mark.slow
def test_concurrency_tells_what_searches_and_saves_wait(real_text: Path, tmp_path: Path) -> None:
    figures = measured("concurrency", tmp_path)
    everyone = "50 searching and 3 saving clients, 3 processes"
    assert figures[f"searches a second, {everyone} /s"] > 0
    assert figures[f"save, {everyone} ms"] > 0


@pytest.mark.slow
def test_batch_applies_results_beside_a_bare_executemany(real_text: Path, tmp_path: Path) -> None:
    figures = measured("batch", tmp_path)
    assert figures["results applied, of the bare executemany x"] > 0
    assert figures["peak memory of a process that does the whole job MB"] > 0
