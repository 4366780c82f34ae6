"""Pages that repeat what the code knows are compared with it,
and every page has the parts a reader looks for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import yaml
from floor_plan import ROOT
from pages import for_each, headings, rows, section, text_of

import semantic_core
from semantic_core import errors, filters, hookspecs, types
from semantic_core._config import read_config
from semantic_core.cli import cli

GUIDES = sorted(
    page
    for folder in ("", "core_concepts", "integrations")
    for page in (ROOT / "guides" / folder).glob("*.md")
)
RUSSIAN = sorted((ROOT / "guides/ru").glob("*.md"))
RUSSIAN_SECTIONS = (
    "Ключевая идея",
    "Когда использовать",
    "Как это работает",
    "Пример кода",
    "Частые ошибки",
    "Связанные темы",
)
DECISIONS = sorted((ROOT / "guides/decisions").glob("*.md"))
SECTIONS = (
    "Key idea",
    "When to use",
    "How it works",
    "Code example",
    "Common errors",
    "Related topics",
)
MARKS = ("💡", "🎯", "🔍", "📝", "⚠️", "🔗")
"""After the headings of the integration guides that are there in two languages."""
DECISION_SECTIONS = ("Question", "Choice", "Why", "What would change it")
DIFFICULTIES = ("beginner", "intermediate", "advanced")


def front_matter(text: str) -> dict[str, object]:
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    return yaml.safe_load(match[1]) if match else {}


@for_each([*GUIDES, *DECISIONS])
def test_every_page_says_what_it_is(page: Path) -> None:
    told = front_matter(page.read_text("utf-8"))
    assert list(told) == ["title", "description", "tags", "difficulty"]
    assert told["title"] == headings(page.read_text("utf-8"), 1)[0]
    assert (
        told["tags"]
        and told["difficulty"] in DIFFICULTIES
        and str(told["description"]).endswith(".")
    )


def original_of(page: Path) -> Path:
    """The English page of a translated one."""
    return next(
        other for other in GUIDES if other.name == page.name and other.parent.name != "guides"
    )


def sections_of(page: Path, plain: tuple[str, ...]) -> list[str]:
    """The headings a page must have, with their marks where it has marks."""
    if page in RUSSIAN or page in [original_of(each) for each in RUSSIAN]:
        return [f"{name} {mark}" for name, mark in zip(plain, MARKS, strict=True)]
    return list(plain)


@for_each(GUIDES)
def test_every_guide_has_the_same_sections(page: Path) -> None:
    text = page.read_text("utf-8")
    wanted = sections_of(page, SECTIONS)
    idea, use, how, _, mistakes, _ = wanted
    assert [heading for heading in headings(text, 2) if heading in wanted] == wanted
    assert len(section(text, idea).strip().split("\n\n")) == 1, "the key idea is one sentence"
    assert rows(section(text, use)) and rows(section(text, mistakes))
    assert "```mermaid\n" in section(text, how)


def code(page: Path) -> list[str]:
    """The code of a page: its blocks but for diagrams, whose labels are prose."""
    return re.findall(
        r"^```(?!mermaid)(\w[^\n]*\n.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def diagram_shapes(page: Path) -> list[list[str]]:
    """The lines of each diagram without what is written for people: what it is drawn of."""
    shapes = []
    for drawn in re.findall(r"^```mermaid\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        bare = re.sub(r'"[^"]*"|\|[^|]*\||\[[^\]]*\]|\{[^}]*\}|: .*| as .*', "", drawn)
        shapes.append([line.rstrip() for line in bare.splitlines()])
    return shapes


def links(page: Path) -> list[Path]:
    """The files a page links to, in order, each translated one as its original; without the link
    to the same page in the other language.
    """
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target) or not path:
            continue
        linked = (page.parent / path).resolve()
        linked = original_of(linked) if linked in RUSSIAN else linked
        if linked not in (page, original_of(page) if page in RUSSIAN else page):
            found.append(linked / anchor if anchor else linked)
    return found


@for_each(RUSSIAN)
def test_a_translated_page_has_the_parts_and_the_code_of_its_original(page: Path) -> None:
    original = original_of(page)
    assert code(page) == code(original)
    text, english = page.read_text("utf-8"), original.read_text("utf-8")
    assert headings(text, 2) == sections_of(page, RUSSIAN_SECTIONS)
    assert len(headings(text, 3)) == len(headings(english, 3))
    assert diagram_shapes(page) == diagram_shapes(original)
    assert [len(row) for row in rows(text)] == [len(row) for row in rows(english)]
    assert links(page) == links(original)
    told = front_matter(text)
    assert told["title"] == headings(text, 1)[0] and told["tags"] == front_matter(english)["tags"]
    assert told["difficulty"] == front_matter(english)["difficulty"]


@for_each(RUSSIAN)
def test_both_languages_of_a_page_link_to_each_other_under_the_title(page: Path) -> None:
    original = original_of(page)
    title = front_matter(page.read_text("utf-8"))["title"]
    back = f"../{original.parent.name}/{page.name}"
    assert f"# {title}\n\n[In English]({back})\n\n" in page.read_text("utf-8")
    title = front_matter(original.read_text("utf-8"))["title"]
    assert f"# {title}\n\n[По-русски](../ru/{page.name})\n\n" in original.read_text("utf-8")


@for_each(DECISIONS)
def test_every_decision_has_the_same_sections(page: Path) -> None:
    assert headings(page.read_text("utf-8"), 2) == list(DECISION_SECTIONS)


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [page.name[:4] for page in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]


def test_the_first_page_leads_to_every_other() -> None:
    index = text_of("guides/README.md")
    others = [
        page.relative_to(ROOT / "guides").as_posix()
        for page in [*GUIDES, *DECISIONS]
        if page.name != "README.md"
    ]
    assert [name for name in others if f"({name})" not in index] == []


@for_each(hookspecs.hook_names())
def test_every_hook_is_described_with_its_exact_signature_and_kind(name: str) -> None:
    told = section(text_of("guides/hooks.md"), name)
    signature = str(hookspecs.signature_of(name)).replace("'", "")
    assert f"`{name}{signature}`" in told, f"wanted `{name}{signature}` below its heading"
    first_answer = getattr(hookspecs, name).semantic_core_spec["firstresult"]
    assert ("irst answer" in told) is (first_answer and name != hookspecs.RERANK)
    assert ("One after the other" in told) is (name == hookspecs.RERANK)
    assert re.search(
        r"^(First answer|Every plugin|Chosen by name|One after the other)",
        told.strip().split("\n\n")[1],
    )


def test_no_hook_is_described_that_does_not_exist() -> None:
    text = text_of("guides/hooks.md")
    assert (
        tuple(name for name in headings(text, 3) if name.startswith(hookspecs.PREFIX))
        == hookspecs.hook_names()
    )
    linked = [
        cell
        for row in rows(section(text, "When to use"))
        for cell in re.findall(r"\[(semantic_\w+)\]", row[1])
    ]
    assert sorted(linked) == sorted(hookspecs.hook_names())


def error_classes() -> Iterator[type[errors.SemanticCoreError]]:
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.SemanticCoreError):
            yield value


def test_every_error_is_described_with_its_place_in_the_tree() -> None:
    told = {
        row[0]: row[1].strip("`")
        for row in rows(section(text_of("guides/errors.md"), "How it works"))
        if len(row) == 4
    }
    wanted = {
        f"`{one.__name__}`{' *' if one.retryable else ''}": one.__bases__[0].__name__
        for one in error_classes()
    }
    assert told == wanted


def test_the_tree_in_the_module_is_the_tree_of_the_classes() -> None:
    drawn = dict(re.findall(r"(?:\|--|`--) (\w+)( \*)?", errors.__doc__ or ""))
    assert {name: bool(star) for name, star in drawn.items()} == {
        one.__name__: one.retryable
        for one in error_classes()
        if one is not errors.SemanticCoreError
    }


def test_every_setting_is_described_with_its_default(tmp_path: Path) -> None:
    told = {
        row[0]: (row[1], row[2])
        for row in rows(text_of("guides/configuration.md"))
        if len(row) == 4
    }
    wanted = {}
    for key, default, _ in read_config(environment={}, start=tmp_path).items():
        variable = f"SEMANTIC_CORE_{key.upper()}" + ("__NAME" if default == {} else "")
        if key == "plugin_options":
            variable = "SEMANTIC_CORE_PLUGINS__NAME__OPTION"
        shown_default = "empty" if default == {} else "none" if default is None else f"`{default}`"
        wanted[f"`{key}`"] = (f"`{variable}`", shown_default)
    assert told == wanted


def test_every_operator_of_where_is_described() -> None:
    table = rows(section(text_of("guides/searching.md"), "`where`: operators"))
    assert {row[0].strip("`") for row in table} == set(filters._WORDS)


def test_every_mode_is_described() -> None:
    table = rows(section(text_of("guides/searching.md"), "Modes"))
    assert {row[0].strip("`") for row in table} == set(types.MODES)


def test_every_field_of_an_answer_is_described() -> None:
    told = section(text_of("guides/searching.md"), "Reading an answer")
    wanted = {f"`hit.{field.name}`" for field in types.SearchHit.__attrs_attrs__}
    wanted |= {
        f"`results.{field.name}`"
        for field in types.SearchResults.__attrs_attrs__
        if field.name not in ("query", "hits")
    }
    assert [name for name in sorted(wanted) if name not in told] == []


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """(path, command) of everything that can be called."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(commands(cli, "semantic-core"))


SHARED = ("--db", "--app", "--json")
"""Options of every command, described once at the top of the page; each takes the first,
the second, or both.
"""


def usage(path: str) -> str:
    command = COMMANDS[path]
    return " ".join([path, *command.collect_usage_pieces(click.Context(command))])


def option_table(command: click.Command) -> str:
    """The options a command has for itself, as a table: what ``--help`` says of them."""
    lines = ["| option | what it does |", "|---|---|"]
    for option in command.params:
        if isinstance(option, click.Option) and option.opts[-1] not in SHARED:
            default = f" Default: {option.default}." if option.show_default else ""
            lines.append(f"| `{', '.join(option.opts)}` | {option.help}{default} |")
    return "\n".join(lines) if lines[2:] else ""


@for_each(COMMANDS)
def test_every_command_is_described_with_all_its_options(path: str) -> None:
    told = section(text_of("guides/cli.md"), path)
    wanted = f"`{usage(path)}`"
    assert wanted in told, f"wanted below the heading {path!r}:\n{wanted}"
    table = option_table(COMMANDS[path])
    assert table in told and len(rows(told)) == max(0, table.count("\n") - 1), (
        f"wanted below {path!r}:\n{table}"
    )


SPEAKS_OF_NO_INDEX = {
    "semantic-core blueprint",
    "semantic-core config trust",
    "semantic-core config untrust",
    "semantic-core plugins new",
    "semantic-core plugins test",
}


@for_each(COMMANDS)
def test_every_command_takes_the_shared_options(path: str) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert "--json" in options
    assert options & {"--db", "--app"} or path in SPEAKS_OF_NO_INDEX
    assert {f"`{name}" for name in SHARED} <= set(
        re.findall(r"`--\w+", section(text_of("guides/cli.md"), "Every command"))
    )


def test_no_command_is_described_that_does_not_exist() -> None:
    described = [
        heading
        for heading in headings(text_of("guides/cli.md"), 3)
        if heading.startswith("semantic-core ")
    ]
    assert sorted(described) == sorted(COMMANDS)


def test_the_readme_lists_every_distribution() -> None:
    there = {
        tomllib.loads(file.read_text("utf-8"))["project"]["name"]
        for file in ROOT.glob("plugins/*/pyproject.toml")
    }
    table = rows(section(text_of("README.md"), "Install"))
    assert {row[0].strip("`") for row in table} == there | {"semantic-core-kernel"}
    extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    for row in table:
        for extra in re.findall(r"`(\w+)`", row[2]):
            assert row[0].strip("`") in extras[extra]


def test_the_first_row_of_the_readme_shares_no_word_with_the_query() -> None:
    example = section(text_of("README.md"), "Example")
    (query,) = set(re.findall(r'\.search\("([^"]+)"', example))
    (printed,) = re.findall(r"```text output\n(.*?)```", example, re.DOTALL)
    score, _, first = printed.splitlines()[0].partition("  ")
    assert float(score) > 0.1 > float(printed.splitlines()[1].partition("  ")[0])
    assert f"\n{first}\n" in example.partition("```text output")[0], "one of the ten rows"
    stems = {word[:4] for word in re.findall(r"\w+", query.lower())}
    assert stems & {word[:4] for word in re.findall(r"\w+", first.lower())} == set()


def test_the_newest_release_in_the_changelog_is_the_one_that_is_built() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert (
        re.search(r"^## \[(.+?)\] - .*\d{4}-\d\d-\d\d$", text_of("CHANGELOG.md"), re.MULTILINE)[1]
        == version
    )


@for_each([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDES, *DECISIONS])
def test_classes_and_functions_that_are_named_exist(page: Path) -> None:
    """``semantic_core.testing.store_checks`` and the like, written with their module."""
    wrong = []
    for dotted in re.findall(r"`(semantic_core(?:\.\w+)+)`", page.read_text("utf-8")):
        module, _, name = dotted.rpartition(".")
        try:
            import_module(dotted)
        except ModuleNotFoundError:
            if not hasattr(import_module(module), name):
                wrong.append(dotted)
    assert wrong == []


def test_methods_of_the_core_that_are_named_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *GUIDES, *DECISIONS]
    named = {
        name
        for page in pages
        for name in re.findall(r"\bcore\.([a-z_]+)\(", page.read_text("utf-8"))
    }
    doors = (semantic_core.SemanticCore, semantic_core.AsyncSemanticCore)
    assert [name for name in sorted(named) if not any(hasattr(door, name) for door in doors)] == []
