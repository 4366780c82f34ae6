"""``plugins test``: the checks of the contract, run on an installed plugin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import answer, call

from semantic_core.cli.plugin_new import KINDS, Package

EXAMPLES = {
    "splitter": ["--media-type", "text/x-demo"],
    "retriever": ["--query", "k8s", "--text", "Kubernetes in a day."],
}


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, into which plugins are written as an installer does."""
    site = folder / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in list(sys.modules):
        if name.startswith("semantic_core_demo"):
            del sys.modules[name]


def install(site: Path, kind: str) -> Path:
    """Write the plugin "demo" of this kind and its metadata; the file of its module."""
    package = Package("demo", kind)
    for place, text in package.files().items():
        if place.parts[0] == "semantic_core_demo":
            (site / place).parent.mkdir(exist_ok=True)
            (site / place).write_text(text, "utf-8")
    info = site / "semantic_core_demo-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: semantic-core-demo\nVersion: 0.1.0\n"
    )
    (info / "entry_points.txt").write_text("[semantic_core]\ndemo = semantic_core_demo\n")
    return site / "semantic_core_demo" / "__init__.py"


@pytest.mark.parametrize("kind", ["retriever", "reranker", "middleware", "embedder"])
def test_a_new_plugin_keeps_its_contract(kind: str, installed: Path) -> None:
    install(installed, kind)
    told = answer("plugins", "test", "demo", *EXAMPLES.get(kind, []))
    verdicts = {check["check"]: check["verdict"] for check in told["checks"]}
    assert len(verdicts) > 3 and set(verdicts.values()) <= {"passed", "skipped"}
    assert list(verdicts.values()).count("passed") > 3
    assert told["not_checked"] == []


def test_a_reader_is_tried_with_a_sample(installed: Path, folder: Path) -> None:
    install(installed, "reader")
    (folder / "sample.demo").write_text("On beans\nBeans climb poles.\n")
    told = answer("plugins", "test", "demo", "--sample", "sample.demo")
    assert {check["verdict"] for check in told["checks"]} <= {"passed", "skipped"}
    (folder / "sample.txt").write_text("Beans")
    wrong = answer("plugins", "test", "demo", "--sample", "sample.txt", code=2)
    assert "does not read 'sample.txt'; it reads .demo" in wrong["error"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["store", "splitter", "analyser"])
def test_a_new_store_splitter_and_analyser_keep_their_contract(kind: str, installed: Path) -> None:
    install(installed, kind)
    told = answer("plugins", "test", "demo", *EXAMPLES.get(kind, []))
    assert {check["verdict"] for check in told["checks"]} <= {"passed", "skipped"}


def test_a_broken_rule_is_named_with_its_reason_and_exit_code_1(installed: Path) -> None:
    module = install(installed, "reranker")
    text = module.read_text("utf-8")
    module.write_text(text.replace("reverse=True)", "reverse=True)[:1]"), "utf-8")
    result = call("plugins", "test", "demo")
    assert result.exit_code == 1
    assert "failed   reranker: it_returns_hits_it_was_given" in result.output
    assert "wanted all hits it was given, got 1 of 2" in " ".join(result.output.split())
    assert "1 failed" in result.output or "failed," in result.output


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("splitter", "--media-type"), ("reader", "--sample"), ("retriever", "--query and --text")],
)
def test_what_the_checks_cannot_know_is_asked_for(kind: str, advice: str, installed: Path) -> None:
    install(installed, kind)
    told = answer("plugins", "test", "demo")
    assert told["checks"] == []
    [lacking] = told["not_checked"]
    assert advice in lacking["reason"]
    assert "not checked" in call("plugins", "test", "demo").output


def test_an_adapter_needs_its_harness(installed: Path) -> None:
    install(installed, "orm")
    [lacking] = answer("plugins", "test", "demo")["not_checked"]
    assert "adapter_checks" in lacking["reason"]


def test_what_has_no_contract_and_what_is_not_there_is_said(installed: Path) -> None:
    install(installed, "command")
    failed = answer("plugins", "test", "demo", code=2)
    assert "provides nothing that there are checks for" in failed["error"]["message"]
    missing = answer("plugins", "test", "dmeo", code=2)
    assert "demo" in missing["error"]["message"]


def test_every_kind_is_tried_here() -> None:
    tried = {"retriever", "reranker", "middleware", "embedder", "reader", "store", "splitter"}
    tried.add("analyser")
    assert tried | {"orm", "command"} == set(KINDS)
