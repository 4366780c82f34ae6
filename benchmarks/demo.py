"""The main job, shown: real text goes into one file, three questions find their passages.

``python benchmarks/demo.py [FOLDER]``, or ``make demo``. Without a folder the text is what Python
itself ships about its language (the topics of ``help()``). Everything runs through the command
line, as anyone would type it, and every command is printed so that it can be copied. All files go
into ``.demo/``. Run it again: nothing is embedded a second time.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo"
GUIDES = ROOT / "guides"
ON_GUIDES = "what happens when the embedder is away"
ON_PYTHON = ("leave a loop early", "give a function parameter a default value")
HITS = 3

_UNDERLINED = re.compile(r'^(?P<text>\S.*)\n(?P<line>[*=~^"-])(?P=line){2,}$', re.MULTILINE)
_LEVELS = {"*": "#", "=": "##", "-": "###", "~": "####", "^": "#####", '"': "######"}


def python_topics(folder: Path) -> bool:
    """Write what ``help("for")`` and its like would show as Markdown files;
    whether this Python ships any.
    """
    try:
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except ImportError:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in topics.items():
        if _repeated(text, topics):
            continue
        with_headings = _UNDERLINED.sub(
            lambda match: f"{_LEVELS[match['line']]} {match['text']}\n", text
        )
        (folder / f"{name}.md").write_text(with_headings, "utf-8")
    return True


def _repeated(text: str, topics: Mapping[str, str]) -> bool:
    """Whether a longer topic says nearly all of it, too: the chapter has its sections.

    Then once is enough.
    """
    paragraphs = [part for part in text.split("\n\n")[1:] if len(part) > 60]
    longer = [other for other in topics.values() if len(other) > len(text)]
    return any(
        sum(part in other for part in paragraphs) > 0.8 * len(paragraphs) for other in longer
    )


def program() -> list[str]:
    """The command as it is called from here: the one beside this Python, or the module."""
    beside = Path(sys.executable).with_name("semantic-core")
    return [shown(beside)] if beside.exists() else [sys.executable, "-m", "semantic_core.cli"]


def shown(path: Path) -> str:
    """The path as one would type it in the repository's folder."""
    return os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else str(path)


def environment() -> dict[str, str]:
    """This one without settings that would send the demo elsewhere;
    marked words stay marked in a pipe, too.
    """
    kept = ("SEMANTIC_CORE_DEBUG", "SEMANTIC_CORE_TRACE")
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SEMANTIC_CORE_") or name in kept
    }
    return own if "NO_COLOR" in own else {"FORCE_COLOR": "1", **own}


def run(arguments: Sequence[str]) -> None:
    """Print the command, run it, say how long the whole process took.

    Ends the demo where the command was refused.
    """
    print(f"\n$ {shlex.join([*program(), *arguments])}", flush=True)
    started = perf_counter()
    done = subprocess.run([*program(), *arguments], cwd=ROOT, env=environment())
    print(f"  [{perf_counter() - started:.2f} s, the start of Python included]", flush=True)
    if done.returncode > 1:
        sys.exit(done.returncode)


def questions(collection: str, database: str) -> list[str]:
    """Two questions that fit a folder nobody here has seen: titles of its own documents."""
    listing = [
        *program(),
        "documents",
        "list",
        "--collection",
        collection,
        "--db",
        database,
        "--json",
    ]
    done = subprocess.run(
        listing, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    documents = json.loads(done.stdout)["documents"]
    names = [
        document["title"] or re.sub(r"[\W_]+", " ", Path(document["key"]).stem)
        for document in documents
    ]
    return list(dict.fromkeys(names[len(names) * part // 3] for part in (1, 2) if names))


def main(arguments: Sequence[str]) -> None:
    """The demo. A folder that is not there is refused before anything is made."""
    folder = Path(arguments[0]).expanduser().resolve() if arguments else HOME / "python"
    if arguments and not folder.is_dir():
        sys.exit(
            f"error: there is no folder {arguments[0]!r}.\n"
            "hint: make demo DEMO_PATH=/a/folder/of/text"
        )
    HOME.mkdir(exist_ok=True)
    collection = "yours" if arguments else "python"
    database = shown(
        HOME / f"{re.sub(r'[^-.a-zA-Z0-9]+', '-', folder.name).strip('-.') or 'yours'}.db"
    )
    there = bool(arguments) or python_topics(folder)

    print("1. Make the text findable. What is known already is not embedded again.")
    run(["ingest", shown(GUIDES), "--collection", "guides", "--prune", "--db", database])
    if there:
        run(["ingest", shown(folder), "--collection", collection, "--prune", "--db", database])

    print("\n2. Ask.")
    asked = [
        ON_GUIDES,
        *((questions(collection, database) if arguments else ON_PYTHON) if there else ()),
    ]
    for question in asked:
        run(["search", question, "-n", str(HITS), "--db", database])

    print(
        "\n3. Go on yourself: copy a line from above and change the question. Everything is in",
        shown(HOME),
    )


if __name__ == "__main__":
    main([argument for argument in sys.argv[1:] if argument])
