"""The faults of a text that is not TOML: the place, and the fix in our words.

Rule: tomllib decides whether a text is TOML, and where it stopped reading. This module only explains why: it is
imported after tomllib has refused a text. It never quotes the value of a key that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from lattice_bridge.config.positions import NotToml, Scanner, TooDeep, line_and_column
from lattice_bridge.config.words import quoted, visible
from lattice_bridge.errors import Fault

_MOST: Final = 400
"""Characters of an explanation. It may quote a line several times, and a line may be the whole file."""

_STOPPED: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_SECRET: Final = re.compile("secret|password|token", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\s,\]}#=]+")
_HEADER: Final = re.compile(r"""\s*(\[[^\[\]"']+\]|\[\[[^\[\]"']+\]\])\s*(#.*)?""")
_AFTER_KEY: Final = re.compile(r""":=|[:=]|(?=["'\[{])""")
_QUOTED_KEY: Final = re.compile(r"""(?:"([^"]+)"|'([^']+)')\s*(?::=|[:=])?""")
_WORDS: Final = {
    **dict.fromkeys(("True", "TRUE", "yes", "Yes", "on"), "write true"),
    **dict.fromkeys(("False", "FALSE", "no", "No", "off"), "write false"),
    **dict.fromkeys(("null", "None", "nil", "~"), "leave the line out"),
}
"""Values of other languages → the fix."""


def syntax_fault(text: str, error: ValueError) -> Fault:
    """The fault of a text that tomllib refused with this error."""
    text = text.replace("\r\n", "\n")  # as tomllib counts
    found = _STOPPED.fullmatch(str(error))
    if found is None:  # a number of 5,000 digits
        return Fault("not TOML: a number has too many digits. Fix: write a shorter one", line=1, column=1)
    newlines = [match.start() for match in re.finditer("\n", text)]
    if found[2] is None:
        stop = len(text)
    else:
        line = int(found[2])
        stop = (newlines[line - 2] + 1 if line > 1 else 0) + int(found[3]) - 1
    reading = _Reading(text, stop)
    at, words = _explained(reading, found[1])
    line, column = line_and_column(at, newlines)
    return Fault(f"not TOML: {visible(words, _MOST)}", line=line, column=column)


@dataclass
class _Reading:
    """How far tomllib read a text.

    Attributes:
        text: the text.
        stop: the offset at which tomllib stopped.
        scanner: has walked through the text before it.
    """

    text: str
    stop: int
    scanner: Scanner = field(init=False)

    def __post_init__(self) -> None:
        self.scanner = Scanner(self.text[: self.stop])
        with suppress(NotToml, TooDeep):
            self.scanner.scan()

    @property
    def rest(self) -> str:
        """The rest of the line at which tomllib stopped."""
        return self.text[self.stop :].partition("\n")[0]

    @property
    def line(self) -> tuple[int, str]:
        """The line at which tomllib stopped, or the last one with content: its offset and its text."""
        end = self.stop if self.rest.strip() else len(self.text[: self.stop].rstrip())
        start = self.text.rfind("\n", 0, end) + 1
        return start, self.text[start:].partition("\n")[0]

    @property
    def key(self) -> str:
        """The last key before the stop."""
        path, _ = self.scanner.latest
        return next((part for part in reversed(path) if isinstance(part, str)), "key")

    def assigned(self, value: str) -> str:
        """`key = "value"` for a value without quotes, or only the value if it is an element of an array."""
        shown = '"…"' if _SECRET.search(self.key) else quoted(value.strip().strip("\"'“”‘’"))
        return shown if self.scanner.containers else f"{self.key} = {shown}"


Explained = tuple[int, str]


def _explained(reading: _Reading, message: str) -> Explained:
    """The offset of a fault, and what it is, given what tomllib says. The first explanation that fits is right."""
    for beginning, explain in _EXPLANATIONS:
        if message.startswith(beginning):
            return explain(reading)
    return reading.stop, f"{message}. Fix: compare the line with toml.io"


# ---- values ---------------------------------------------------------------------------------------------------------


def _value(reading: _Reading) -> Explained:
    rest = reading.rest
    word = _WORD.match(rest)
    outer = _unclosed_before_header(reading)
    if outer is not None:
        return outer
    if not rest.strip() or rest.lstrip().startswith("#"):
        start, line = reading.line
        return start + len(line) - len(line.lstrip()), f'{reading.key} has no value. Fix: write {reading.key} = "…"'
    if rest.startswith("="):
        return reading.stop, f"{reading.key} is followed by two =. Fix: write one"
    if rest[0] in "“”‘’«»`":
        fix = f"write {reading.assigned(_until_comment(rest))}"
        return reading.stop, f"{rest[0]} is not a quote of TOML. Fix: {fix}"
    if word is not None and word[0] in _WORDS:
        return reading.stop, f"{word[0]} is not a value of TOML. Fix: {_WORDS[word[0]]}"
    return _unquoted(reading, reading.stop)


def _unquoted(reading: _Reading, start: int) -> Explained:
    """A string without quotes, from an offset on."""
    rest = reading.text[start:].partition("\n")[0]
    word = _until_comment(rest)
    if reading.scanner.containers:
        found = _WORD.match(rest)
        word = found[0] if found else word
    what = f"the value of {reading.key}" if _SECRET.search(reading.key) else word[:80]
    missing = "no opening quote" if word.endswith(('"', "'")) else "no quotes"
    return start, f"{what} has {missing}. Fix: write {reading.assigned(word)}"


def _until_comment(rest: str) -> str:
    return re.split(r"\s#", rest, maxsplit=1)[0].strip()


def _after_value(reading: _Reading) -> Explained:
    """Something follows a whole value or header on its line."""
    _, line = reading.line
    if line.lstrip().startswith("["):
        return _header(reading)
    value = reading.scanner.value
    if reading.text[value : value + 1] not in "\"'[{" and not reading.text[reading.stop - 1].isspace():
        return _unquoted(reading, value)  # begins as a number: 012345678901, 1111-2222
    pair = re.match(r"""[\s,;]*([A-Za-z0-9_-]+)\s*=""", reading.rest)
    if pair is not None and not _SECRET.search(reading.key):
        return reading.stop + pair.start(1), f"{pair[1]} is on the line of {reading.key}. Fix: begin a new line"
    if reading.text[value] == '"':
        fix = r"write \" for a quote inside of a string, or # before a comment"
    else:
        fix = "remove it, or write # before a comment"
    return reading.stop, f"the value of {reading.key} has ended before this. Fix: {fix}"


def _string(reading: _Reading) -> Explained:
    """A string without its end, or with a character that it must not contain."""
    character = reading.text[reading.stop : reading.stop + 1]
    if character not in ("", "\n"):
        code = f"U+{ord(character):04X}"
        return reading.stop, f"the control character {code} is in the file. Fix: remove it"
    value = reading.scanner.value
    opening = reading.text[value : value + 3]
    if opening in ('"""', "'''"):
        return (
            value,
            f"the value of {reading.key} begins with {opening} and does not end. Fix: write {opening} at its end",
        )
    start, line = reading.line
    if opening[:1] not in ("'", '"') or _is_key(reading, value, start, line):
        return start, "a key begins with a quote and does not end with one. Fix: write one before ="
    written = _until_comment(reading.text[value + 1 :].partition("\n")[0])
    return value, f"the value of {reading.key} has no closing quote. Fix: write {reading.assigned(written)}"


def _is_key(reading: _Reading, value: int, start: int, line: str) -> bool:
    """Whether the quote that does not end is that of a key: the last value is on an earlier line, or there is none."""
    return line.lstrip()[:1] in ("'", '"') and (value < start or not reading.scanner.latest[0])


def _escape(reading: _Reading) -> Explained:
    at = reading.text.rfind("\\", 0, reading.stop + 1)
    fix = r"write \\ for a backslash, or use single quotes: 'C:\dir'"
    return max(at, 0), f"a backslash in the value of {reading.key} begins an unknown escape. Fix: {fix}"


# ---- keys and headers -----------------------------------------------------------------------------------------------


def _no_equals(reading: _Reading) -> Explained:
    start, line = reading.line
    key, value = _key_and_value(line.strip())
    at = start + len(line) - len(line.lstrip())
    if line.lstrip().startswith("- "):
        return at, 'an element of a list begins with -, as in YAML. Fix: write a list in brackets: key = ["…", "…"]'
    value = "" if _SECRET.search(line) else value
    if reading.rest.startswith(":"):
        return reading.stop, f"{key} is followed by :, as in YAML. Fix: write {_pair(key, value)}"
    words = key.split(None, 1)
    if len(words) > 1 and value and reading.rest.partition("=")[1]:
        return at, f'the key {key} contains a space. Fix: write one word, or "{key}" in quotes'
    if not value and len(words) > 1:
        key, value = words[0], "" if _SECRET.search(line) else words[1]
    return at, f"{key} is not followed by =. Fix: write {_pair(key, value)}"


def _key_and_value(line: str) -> tuple[str, str]:
    """The key and the value that were meant. Not by one pattern for the whole line: with many spaces, its time is the
    square of their number."""
    found = _QUOTED_KEY.match(line) or _AFTER_KEY.search(line)
    if found is None:
        return line, ""
    key = found[1] or found[2] if found.re is _QUOTED_KEY else line[: found.start()]
    return key.strip(), line[found.end() :].lstrip()


def _pair(key: str, value: str) -> str:
    """`key = value`, with quotes around the value if it needs them."""
    value = _until_comment(value)
    if not value:
        return f'{key} = "…"'
    plain = value[0] in "\"'[{" or value in ("true", "false") or re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", value)
    return f"{key} = {value if plain else quoted(value)}"[:120]


def _header(reading: _Reading) -> Explained:
    start, line = reading.line
    name = re.sub(r"[\[\]]", "", _until_comment(line)).strip()
    at = start + len(line) - len(line.lstrip())
    if not name:
        return at, "a header has no name. Fix: write the name of a table between the brackets"
    written = line.lstrip()
    followed = re.match(r"(\[[^\[\]]+\]|\[\[[^\[\]]+\]\])\s*[^\s\]#]", written)
    if followed is not None:
        return at, f"{followed[1]} is followed by something on its line. Fix: begin a new line after {followed[1]}"
    if _HEADER.fullmatch(line):
        return (
            at,
            f"{_until_comment(line)} is not the name of a table. Fix: write words with one dot between two of them",
        )
    double = written.startswith("[[") or "]]" in written
    return (
        at,
        f"the brackets of {_until_comment(line)} do not match. Fix: write {f'[[{name}]]' if double else f'[{name}]'}",
    )


def _key(reading: _Reading) -> Explained:
    _, line = reading.line
    if line.lstrip().startswith("["):
        return _header(reading)
    before = reading.text[: reading.stop].rstrip()
    if reading.rest.startswith("}") and before.endswith(","):
        return len(before) - 1, "a comma before } ends an inline table. Fix: remove it"
    if reading.scanner.containers and not reading.rest.strip():
        return _open_table(reading)
    return reading.stop, "a key is missing here. Fix: write key = value"


def _statement(reading: _Reading) -> Explained:
    character = reading.text[reading.stop]
    if character == "\ufeff":
        return reading.stop, "the file begins with a byte order mark. Fix: save it as UTF-8 without BOM"
    if character == "=":
        return reading.stop, "a key is missing before =. Fix: write key = value"
    if character in "]}":
        return reading.stop, f"{character} closes nothing. Fix: remove it"
    if character == "\r":
        return reading.stop, "a line ends with CR alone. Fix: save the file with LF or CRLF"
    fix = "write # before a comment, and quotes around a key with other characters than A-Z a-z 0-9 _ -"
    return reading.stop, f"{quoted(character)} cannot begin a line. Fix: {fix}"


def _repeated(reading: _Reading) -> Explained:
    path, entry = reading.scanner.latest
    header = reading.text.startswith("[", entry.value) and entry.value < entry.key
    first = reading.scanner.entries.get(path, entry)
    line = reading.text.count("\n", 0, first.key) + 1
    name = ".".join(map(str, (part for part in path if isinstance(part, str))))
    if header and first != entry:
        what = reading.text[entry.value :].partition("]")[0]
        what += "]]" if what.startswith("[[") else "]"
        return entry.value, f"{what} is in line {line} already. Fix: keep one of the two, with the keys of both"
    name = name if name == reading.key else reading.key
    if first == entry:  # part of a table that is closed
        return entry.key, f"{name} cannot be added to a table that is written elsewhere. Fix: write it there"
    return entry.key, f"{name} is in line {line} already. Fix: keep one of the two"


def _unclosed_before_header(reading: _Reading) -> Explained | None:
    """The array that is still open where a header or the end of the file follows: TOML reads a header as elements."""
    start, line = reading.line
    outer = [offset for offset in reading.scanner.containers if offset < start]
    is_end = not reading.text[reading.stop :].strip()
    if is_end and reading.scanner.containers:
        outer = reading.scanner.containers
    if outer and (is_end or _HEADER.fullmatch(line)):
        return outer[-1], f"the [ of {reading.key} is not closed. Fix: write ] after its last element"
    return None


# ---- arrays and inline tables ---------------------------------------------------------------------------------------


def _open_array(reading: _Reading) -> Explained:
    after = reading.text[reading.stop :]
    start = reading.scanner.containers[-1] if reading.scanner.containers else reading.stop
    if not after.strip() or re.match(r"""\[\[?[A-Za-z]|[A-Za-z0-9_"'.-]+[ \t]*=""", after):
        return start, f"the [ of {reading.key} is not closed. Fix: write ] after its last element"
    return reading.stop, f"a comma is missing in the list {reading.key}. Fix: write , between two elements"


def _open_table(reading: _Reading) -> Explained:
    start = reading.scanner.containers[-1] if reading.scanner.containers else reading.stop
    if not reading.rest.strip() or reading.rest.lstrip().startswith("#"):
        fix = "write it on one line, with } at its end"
        return start, f"the inline table that begins here does not end on its line. Fix: {fix}"
    return reading.stop, "a comma is missing in an inline table. Fix: write , between two keys"


_EXPLANATIONS: Final[tuple[tuple[str, Callable[[_Reading], Explained]], ...]] = (
    ("Invalid value", _value),
    ("Invalid date", _value),
    ("Expected newline or end of document", _after_value),
    ("Expected '='", _no_equals),
    ("Expected ']", _header),
    ("Invalid initial character", _key),
    ("Invalid statement", _statement),
    ("Cannot", _repeated),
    ("Duplicate", _repeated),
    ("Unclosed array", _open_array),
    ("Unclosed inline table", _open_table),
    ("Illegal character", _string),
    ("Found invalid character", _string),
    ("Unterminated string", _string),
    ("Expected", _string),
    ("Unescaped", _escape),
    ("Invalid hex", _escape),
    ("Escaped character", _escape),
)
"""The beginning of tomllib's message → the explanation."""
