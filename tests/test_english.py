"""Plain English: words and openings that style asks to replace, in docstrings, comments, strings and documents.

Rule: every pattern here is a word that a plainer one replaces in every normal sentence. A literal use is in `LITERAL`,
with its reason.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.support.paths import ROOT

PLAINER: Final = {
    r"mend(?:s|ed|ing)?": "fix",
    r"nobody|somebody": "no caller, no rule, an operator: name the actor",
    r"whoever|whomever": "any caller, an operator, a person who",
    r"whom": "which caller, which principal; or divide the sentence",
    r"in force": "active",
    r"held against": "compared with",
    r"looked (?:at|into)": "checked, read",
    r"lets? (?:\w+ )?in": "allows, admits",
    r"(?:is|are|was|were) told": "receives",
    r"tells? apart|told apart": "distinguishes",
    r"taken for(?! granted)": "treated as",
    r"stands? in": "is in, replaces",
    r"own(?:s|ed)? up": "acknowledges",
    r"g(?:ive|ives|ave|iven) way": "(rephrase)",
    r"be had": "be read, be fetched",
    r"away with": "delete",
    r"however many": "for any number of",
    r"blanks?(?! lines?\b)": "space",
    r"desks?": "development machine",
    r"rooms?(?! for\b)": "module",
    r"doors?": "entry point",
    r"all of it\.": "everything, or nothing",
}
"""Pattern, matched as whole words in any case → what to write instead."""

LITERAL: Final[dict[tuple[str, str], str]] = {
    ("tests/support/browser.py", "blank"): "the address of an empty page",
    ("lattice_bridge/testing/replies.py", "blanks"): "a text that the corpus in events/ contains",
}
"""(files, words) → why the words are literal there."""

WORDS: Final = "|".join(PLAINER).replace(" ", r"\s+")
PATTERN: Final = re.compile(rf"(?<![\w-])(?:{WORDS})(?![\w-])", re.IGNORECASE)
PERHAPS: Final = re.compile(re.sub(r"\(\?![^)]*\)", "", WORDS))
"""In small letters, whatever is around it: most files have no match, and are not divided into tokens."""
QUESTION: Final = re.compile(r"(?:What|Who|Which|Where|Whose|Whom)\b")
CODE_SPAN: Final = re.compile(r"`[^`\n]*`")
"""Names and quotations of code. The lines of code are checked where they are."""
FORMATTED: Final = re.compile(r"[rR]?[fF][rR]?[\"']")
FIELD: Final = re.compile(r"\{[^{}\n]*\}")
"""A replacement field of an f-string, which is code."""

PYTHON: Final = sorted(path for folder in ("lattice_bridge", "tests") for path in (ROOT / folder).rglob("*.py"))
DOCUMENTS: Final = sorted(
    [
        *(path for pattern in ("*.md", "docs/*.md", "*.toml", "examples/*.toml") for path in ROOT.glob(pattern)),
        *(ROOT / "Makefile", ROOT / "template.yaml"),
    ]
)
TEXTS: Final = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Blocks of English that may have a word of the list, each with its first line: the strings and comments of a
    Python file, or a whole document."""
    text = path.read_text(encoding="utf-8")
    if not PERHAPS.search(text.lower()):
        return
    if path.suffix != ".py":
        yield 1, text
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in TEXTS:
            yield token.start[0], FIELD.sub("{}", token.string) if FORMATTED.match(token.string) else token.string


def found_in(path: Path) -> list[str]:
    """`file:line: words: what to write instead`, for each place."""
    name = path.relative_to(ROOT).as_posix()
    places = []
    for first, block in prose(path):
        text = CODE_SPAN.sub("``", block)
        for match in PATTERN.finditer(text):
            words = " ".join(match[0].lower().split())
            if not any(Path(name).match(files) and words == literal for files, literal in LITERAL):
                places.append(f"{name}:{first + text.count(chr(10), 0, match.start())}: {words}: {instead_of(words)}")
    return places


def instead_of(words: str) -> str:
    return next(plain for pattern, plain in PLAINER.items() if re.fullmatch(pattern, words, re.IGNORECASE))


def test_sentence_has_plain_words() -> None:
    places = [place for path in (*PYTHON, *DOCUMENTS) if path != Path(__file__) for place in found_in(path)]
    assert not places, "\n".join([f"{len(places)} places", *places])


def docstring_of(path: Path) -> str:
    """A module's docstring, which is its first token that is not a comment; empty if it has none."""
    with path.open("rb") as file:
        tokens = tokenize.tokenize(file.readline)
        first = next(token for token in tokens if token.type not in NO_CODE)
    return ast.literal_eval(first.string) if first.type == tokenize.STRING else ""


NO_CODE: Final = (tokenize.ENCODING, tokenize.COMMENT, tokenize.NL)


def test_module_docstring_begins_with_no_question_word() -> None:
    docstrings = {path: docstring_of(path).strip() for path in PYTHON}
    found = [
        f"{path.relative_to(ROOT)}:1: {docstring.splitlines()[0]}"
        for path, docstring in docstrings.items()
        if QUESTION.match(docstring)
    ]
    assert not found, "\n".join([f"{len(found)} module docstrings", *found])
    assert docstrings[Path(__file__)].startswith("Plain English: ")


@pytest.mark.parametrize(
    "sentence",
    [
        "Nobody mends it.",
        "The map in force is held against the old one.",
        "It lets callers in.",
        "It lets in callers.",
        "The header is taken for the tenant.",
        "What stands in the session's name.",
        "For whom it is.",
    ],
)
def test_word_of_the_list_is_found(sentence: str) -> None:
    assert PATTERN.search(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Amend the recommendation: it depends on a stand-in.",
        "The test lets the functions run in parallel.",
        "No room for a new one: headroom is not granted, and a blank line is taken for granted.",
        "It looks at the header and says which rule applies.",
        "The letter in the middle stands for the version.",
    ],
)
def test_normal_sentence_is_not_found(sentence: str) -> None:
    assert not PATTERN.search(sentence)


# ---- plurals --------------------------------------------------------------------------------------------------------

PLURAL: Final = re.compile(
    r" (?:[a-z]+ ){0,2}(?:calls|changes|characters|cookies|departures|entries|environments|errors|events|files|lines"
    r"|names|others|packages|requests|rules|tenants|tests|warnings)\b"
)
COUNT: Final = re.compile(r"\{\s*len\(")
"""What a file has in which a text counts something."""
NEVER_ONE: Final = {
    ("cli/explain.py", "refused"): "one request is chosen without a question",
    ("config/tables/table.py", "value"): "too many of them",
    ("deployment/checks/lattice.py", "targets"): "the finding is about several targets",
    ("formats/alb.py", "cookies"): "only several cookies are refused",
    ("local/web/sigv4.py", "names"): "a name that occurs twice, or too many of them",
    ("local/web/sigv4.py", "lines"): "too many of them",
    ("testing/departures.py", "pairs"): "more than 100 header lines",
    ("testing/fakes.py", "calls"): "the title for one call is another",
}
"""(file, what is counted) → why there are at least two."""


def counted_as_many(tree: ast.Module) -> Iterator[str]:
    """What a text counts with `len` before a plural, unless the text is chosen by a comparison with 1."""
    choices = [node for node in ast.walk(tree) if isinstance(node, ast.IfExp) and " 1" in ast.unparse(node.test)]
    chosen = {id(node) for choice in choices for node in ast.walk(choice)}
    for text in ast.walk(tree):
        if isinstance(text, ast.JoinedStr) and id(text) not in chosen:
            for field, words in pairwise(text.values):
                if isinstance(field, ast.FormattedValue) and isinstance(words, ast.Constant):
                    counted = re.fullmatch(r"len\((\w+)\)", ast.unparse(field.value))
                    if counted and PLURAL.match(str(words.value)):
                        yield counted[1]


def test_one_thing_is_not_counted_in_the_plural() -> None:
    """`1 environment`, not `1 environments`."""
    package = ROOT / "lattice_bridge"
    found = {
        (path.relative_to(package).as_posix(), what)
        for path in package.rglob("*.py")
        if COUNT.search(text := path.read_text(encoding="utf-8"))
        for what in counted_as_many(ast.parse(text))
    }
    assert found <= set(NEVER_ONE)


def test_plural_of_a_count_is_found() -> None:
    text = 'f"{len(known)} others"; "1 line" if len(lines) == 1 else f"{len(lines)} lines"; f"{len(a)} bytes"'
    assert list(counted_as_many(ast.parse(text))) == ["known"]
