"""Source code: found by its functions and classes, and unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import CODE
from semantic_core_files import semantic_split
from semantic_core_files.programming_languages import BY_SUFFIX, LANGUAGES
from semantic_core_files.source_code import definitions, split

from semantic_core import Document, Ref


def names(text: str, suffix: str) -> list[str]:
    return [found.name for found in definitions(text, BY_SUFFIX[suffix])]


def chunks(text: str, limit: int, kind: str = "python") -> list[tuple[tuple[str, ...], str]]:
    found = split(Document(Ref("a", "b"), text, media_type=f"text/x-{kind}"), limit)
    assert found is not None
    return [(chunk.headings, chunk.text) for chunk in found]


def test_code_is_read_unchanged(read: Any) -> None:
    (document,) = read("code.py", CODE)
    assert document.text == CODE.decode()
    assert (document.title, document.media_type) == ("code.py", "text/x-python")
    assert document.metadata == {"programming_language": "python"}


def test_an_empty_file_of_code_is_a_document_without_text(read: Any) -> None:
    (document,) = read("__init__.py", b"\n")
    assert (document.text, document.title) == ("", "__init__.py")


def test_python_is_split_at_its_definitions() -> None:
    found = chunks(CODE.decode(), 120)
    assert [headings for headings, _ in found] == [
        (),
        ("add",),
        ("Reader",),
        ("Reader", "read"),
        ("Reader", "later"),
        (),
    ]
    assert found[1][1].startswith("# Adds.\n@cache\ndef add(a, b):\n")
    assert found[1][1].endswith("return a + b")
    assert found[4][1].startswith("    async def later(self):")
    assert found[5][1].startswith('if __name__ == "__main__":')


def test_chunks_say_their_language_and_their_line() -> None:
    document = Document(Ref("a", "b"), CODE.decode(), media_type="text/x-python")
    found = split(document, 120)
    assert found is not None
    lines = CODE.decode().split("\n")
    for chunk in found:
        assert chunk.kind == "code"
        assert chunk.metadata["language"] == "python"
        line = chunk.metadata["line"]
        assert isinstance(line, int)
        assert lines[line - 1] == chunk.text.split("\n")[0]


def test_long_functions_are_cut_at_blank_lines() -> None:
    text = "def f():\n" + "".join(f"    x = {n}\n    y = {n}\n\n" for n in range(30))
    found = chunks(text, 200)
    assert {headings for headings, _ in found} == {("f",)}
    assert all(part.startswith(("def f", "    x")) for _, part in found)


EXAMPLES = {
    ".js": (
        """\
export default class A {
  #b(c) {
  }
}
const d = async (e) => {
}
if (x) {
}
function* g() {}
""",
        ["A", "#b", "d", "g"],
    ),
    ".ts": (
        """\
export interface A<T> {
}
type B = string;
class C {
  private async d<T>(e: T): Promise<T> {
  }
}
for (const x of y) {
}
""",
        ["A", "B", "C", "d"],
    ),
    ".java": (
        """\
@Entity
public final class A<T> extends B {
  private static int c(int d) throws E {
    return f(d);
  }
  A() {
  }
}
""",
        ["A", "c", "A"],
    ),
    ".go": (
        """\
type A struct {
}
func (a *A) B() {
}
func C(
""",
        ["A", "B", "C"],
    ),
    ".rs": (
        """\
pub struct A;
impl<T> Drop for A<T> {
    pub(crate) async fn b() {}
}
macro_rules! c {
}
""",
        ["A", "Drop for A<T>", "b", "c"],
    ),
    ".c": (
        """\
/* Comments say more
   here about it (or there
   and there) */
#define A(x) x
static int *b(int c)
{
    return d(c);
}
struct e {
};
int f(void);
static PyObject *
g(PyObject *self)
{
}
""",
        ["A", "b", "e", "g"],
    ),
    ".cpp": (
        """\
namespace a {
template <class T>
class B : public C {
};
void B::d() const {
}
}
""",
        ["a", "B", "B::d"],
    ),
    ".cs": (
        """\
public class A {
  public async Task<int> B(int c) {
    return d(c);
  }
}
""",
        ["A", "B"],
    ),
    ".kt": (
        """\
data class A(val b: Int)
fun String.c(): Int {
}
""",
        ["A", "String.c"],
    ),
    ".swift": (
        """\
extension A: B {
  func c() {
  }
}
""",
        ["A", "c"],
    ),
    ".scala": (
        """\
case class A(b: Int)
object C {
  def d = 1
}
""",
        ["A", "C", "d"],
    ),
    ".php": (
        """\
final class A {
  public function &b() {
  }
}
""",
        ["A", "b"],
    ),
    ".rb": (
        """\
module A
  class B < C
    def d?
    end
  end
end
""",
        ["A", "B", "d?"],
    ),
    ".sh": (
        """\
a() {
  echo b
}
function c {
}
""",
        ["a", "c"],
    ),
    ".lua": (
        """\
local function a()
end
function b.c()
end
""",
        ["a", "b.c"],
    ),
    ".sql": (
        """\
CREATE TABLE IF NOT EXISTS a (b int);
create or replace function c.d()
""",
        ["a", "c.d"],
    ),
    ".pl": (
        """\
package A;
sub b {
}
""",
        ["A", "b"],
    ),
}
"""For each language a text, and the definitions that are in it."""


@pytest.mark.parametrize("suffix", EXAMPLES)
def test_definitions_are_found_in_every_language(suffix: str) -> None:
    text, wanted = EXAMPLES[suffix]
    assert names(text, suffix) == wanted


def test_every_language_has_an_example_above() -> None:
    shown = {BY_SUFFIX[suffix].name for suffix in EXAMPLES}
    assert shown == {language.name for language in LANGUAGES} - {"python"}


def test_code_behind_a_definition_is_not_in_it() -> None:
    text = "int a(int b)\n{\n    return b;\n}\n\nint counter = 0;\n" + "// c\n" * 40
    found = chunks(text, 120, "c")
    assert found[0][0] == ("a",)
    assert found[0][1].endswith("}")
    assert all(headings == () for headings, _ in found[1:])


def test_brackets_are_no_chunk_of_their_own() -> None:
    text = "class A {\n" + "".join(f"  b{n}() {{\n    c();\n  }}\n" for n in range(9)) + "}\n"
    assert chunks(text, 60, "javascript")[-1][1].endswith("}\n}")


def test_broken_python_is_split_all_the_same() -> None:
    text = "def f():\n    return (1\n\ndef g():\n    '''never closed\n" + "x = 1\n" * 20
    found = chunks(text, 100)
    assert "".join(part for _, part in found).replace("\n", "").startswith("def f():")


@settings(deadline=None)
@given(st.text("def class f:()\n\t \"'#@\\\r\x0c\x85", max_size=200))
def test_no_text_breaks_the_splitter(text: str) -> None:
    found = split(Document(Ref("a", "b"), text, media_type="text/x-python"), 50)
    assert found is not None
    joined = "".join("".join(chunk.text.split()) for chunk in found)
    assert joined == "".join(text.split())


def test_time_grows_with_the_length_of_the_text_only() -> None:
    for text in ("(" * 30_000, "def f(" * 5_000, "x " * 50_000, "\n" * 50_000, "#\n" * 30_000):
        for kind in ("python", "cpp", "java", "typescript", "rust"):
            assert chunks(text, 1_000, kind) or not text.strip()


def test_other_documents_are_left_to_others() -> None:
    assert semantic_split(Document(Ref("a", "b"), "x"), 100) is None
    assert semantic_split(Document(Ref("a", "b"), "x", media_type="text/x-brainfuck"), 100) is None
