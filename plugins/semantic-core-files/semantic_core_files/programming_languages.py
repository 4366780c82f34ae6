"""Programming languages: their suffixes, and how a definition begins in each.

Tested by tests/test_source_code.py.
"""

from __future__ import annotations

import re
from functools import cache

import attrs

_MODIFIERS = (
    r"(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|sealed"
    r"|async|override|virtual|partial|open|inner|data|inline|suspend|pub(?:\([\w: ]+\))?|unsafe"
    r"|const|extern(?:\s+\"[^\"]*\")?|readonly|synchronized|default|native|transient|strictfp"
    r"|implicit|lazy|case|value|annotation|enum|fileprivate|mutating|@\w+(?:\([^)]*\))?)\s+)*"
)
_TYPED = r"(?:[A-Za-z_][\w:.<>,\[\]&*?~]*(?:\s*<[^<>;=(){}]*>)?[\s&*]+)+"
_C_FUNCTION = rf"(?:{_TYPED})(?P<c_name>[~A-Za-z_][\w:~]*)\s*\([^;]*$"
"""A function of C and its relatives: a type and a name, parameters, and no semicolon."""


@attrs.frozen
class Language:
    """A language. name: in lower case, as after the fence of a code block. suffixes: of its files.
    definition: matches the line that begins a definition, with its name in one of the groups.
    comments: what comments, annotations and decorators above a definition begin with.
    by_tokens: whether Python's own tokenizer finds the definitions. types_above: whether the type
    of a function may be on the line above its name.
    """

    name: str
    suffixes: tuple[str, ...]
    definition: str
    comments: str = r"//|/\*|\*|@|#\[|\[|<!--"
    by_tokens: bool = False
    types_above: bool = False

    @property
    def block_comments(self) -> bool:
        """Whether comments are written between "/*" and "*/"."""
        return r"/\*" in self.comments


LANGUAGES = (
    Language("python", (".py", ".pyi", ".pyw"), "", r"#|@", by_tokens=True),
    Language(
        "javascript",
        (".js", ".mjs", ".cjs", ".jsx"),
        rf"(?:{_MODIFIERS}(?:class|function\s*\*?)\s*(?P<a>[\w$]+)"
        r"|(?:export\s+)?(?:const|let|var)\s+(?P<b>[\w$]+)\s*=\s*(?:async\s*)?"
        r"(?:function\b|\([^()]*\)\s*=>|[\w$]+\s*=>)"
        r"|(?:(?:static|async|get|set)\s+)*\*?(?!(?:if|for|while|switch|catch|return|function|with)\b)"
        r"(?P<c>#?[\w$]+)\s*\([^;]*\)\s*\{\s*$)",
    ),
    Language(
        "typescript",
        (".ts", ".mts", ".cts", ".tsx"),
        rf"(?:{_MODIFIERS}(?:class|interface|enum|namespace|module|type|function\s*\*?)\s+"
        r"(?P<a>[\w$]+)"
        r"|(?:export\s+)?(?:const|let|var)\s+(?P<b>[\w$]+)(?:\s*:[^=]+)?\s*=\s*(?:async\s*)?"
        r"(?:function\b|(?:<[^<>]*>)?\([^;]*=>|[\w$]+\s*=>)"
        r"|(?:(?:public|private|protected|static|async|get|set|readonly|override|abstract)\s+)*\*?"
        r"(?!(?:if|for|while|switch|catch|return|function|with|new)\b)"
        r"(?P<c>#?[\w$]+)\s*(?:<[^<>]*>)?\([^;]*\)\s*(?::[^;{]+)?\{\s*$)",
    ),
    Language(
        "java",
        (".java",),
        rf"{_MODIFIERS}(?:(?:class|interface|enum|record|@interface)\s+(?P<a>\w+)"
        r"|(?:<[^<>]+>\s*)?(?:[\w.<>\[\],?]+\s+)?(?!(?:if|for|while|switch|catch|return|new|else|throw)\b)"
        r"(?P<b>\w+)\s*\([^;]*\)?[^;]*\{?\s*$(?<![;,]))",
    ),
    Language(
        "kotlin",
        (".kt", ".kts"),
        rf"{_MODIFIERS}(?:class|interface|object|fun|typealias)\s+(?:<[^<>]+>\s*)?"
        r"(?P<a>(?:[\w<>]+\.)?\w+)",
    ),
    Language(
        "scala",
        (".scala",),
        rf"{_MODIFIERS}(?:class|trait|object|def|type|enum|given)\s+(?P<a>[\w$]+)",
    ),
    Language(
        "go",
        (".go",),
        r"(?:func\s+(?:\([^)]*\)\s*)?(?P<a>\w+)|type\s+(?P<b>\w+))",
    ),
    Language(
        "rust",
        (".rs",),
        rf"{_MODIFIERS}(?:(?:fn|struct|enum|trait|union|mod|type|macro_rules!)\s+(?P<a>\w+)"
        r"|impl(?:<[^{;]*?>)?\s+(?P<b>[^{;]+?)\s*(?:\{|where|$))",
    ),
    Language(
        "c",
        (".c", ".h"),
        rf"(?:(?:typedef\s+)?(?:struct|enum|union)\s+(?P<a>\w+)\s*\{{?\s*$|#define\s+(?P<b>\w+)\("
        rf"|(?!(?:if|for|while|switch|return|else|case|goto|typedef)\b){_C_FUNCTION})",
        types_above=True,
    ),
    Language(
        "cpp",
        (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".cu"),
        rf"(?:(?:template\s*<[^;]*>\s*)?(?:class|struct|enum(?:\s+class)?|union|namespace|concept)\s+"
        rf"(?P<a>[\w:]+)(?!\s*;)[^;]*$|#define\s+(?P<b>\w+)\("
        rf"|(?!(?:if|for|while|switch|return|else|case|throw|delete|using|typedef|new)\b)"
        rf"{_C_FUNCTION})",
        types_above=True,
    ),
    Language(
        "csharp",
        (".cs",),
        rf"{_MODIFIERS}(?:(?:class|interface|struct|enum|record|namespace|delegate)\s+(?P<a>[\w.]+)"
        r"|(?:[\w.<>\[\],?]+\s+)(?!(?:if|for|while|switch|catch|return|new|else|throw)\b)"
        r"(?P<b>\w+)\s*(?:<[^<>]+>)?\([^;]*$)",
    ),
    Language(
        "swift",
        (".swift",),
        rf"{_MODIFIERS}(?:class|struct|enum|protocol|extension|actor|func)\s+(?P<a>[\w.]+)",
    ),
    Language(
        "php",
        (".php",),
        rf"{_MODIFIERS}(?:class|interface|trait|enum|function)\s+&?(?P<a>\w+)",
        r"//|/\*|\*|#",
    ),
    Language(
        "ruby",
        (".rb", ".rake"),
        r"(?:class|module|def)\s+(?P<a>[\w.:?!=<>\[\]+*/-]+)",
        r"#",
    ),
    Language(
        "bash",
        (".sh", ".bash", ".zsh"),
        r"(?:function\s+(?P<a>[\w:.-]+)|(?P<b>[\w:.-]+)\s*\(\s*\))",
        r"#",
    ),
    Language(
        "lua",
        (".lua",),
        r"(?:local\s+)?function\s+(?P<a>[\w.:]+)",
        r"--",
    ),
    Language(
        "sql",
        (".sql",),
        r"(?i:create)\s+(?i:or\s+replace\s+)?(?i:temp(?:orary)?\s+|unique\s+|materialized\s+)*"
        r"(?i:table|view|function|procedure|trigger|index|type|schema)\s+"
        r"(?i:if\s+not\s+exists\s+)?(?P<a>[\w.\"`\[\]]+)",
        r"--",
    ),
    Language(
        "perl",
        (".pl", ".pm"),
        r"(?:sub|package)\s+(?P<a>[\w:]+)",
        r"#",
    ),
)

BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}
PREFIX = "text/x-"
"""The media type of source code is this and the name of its language."""
BY_MEDIA_TYPE = {f"{PREFIX}{language.name}": language for language in LANGUAGES}


@cache
def definition_of(language: Language) -> re.Pattern[str]:
    """The pattern for the beginning of a definition, behind its indent."""
    return re.compile(language.definition)


@cache
def comment_of(language: Language) -> re.Pattern[str]:
    """The pattern for a line that belongs to the definition below it."""
    return re.compile(language.comments)
