"""The content of an entry as it is shown: shortened, as JSON, text or hex, and without credentials.

Rule: a value is masked if its name is that of a credential, or if it looks like a credential. Names are read in
headers, queries, forms (also of several parts), XML, `name: value` and `name = value`, JSON and the repr of a dict at
any depth, JSON within a string, and base64 of these. What is in no such format is shown as it came: a password in a
sentence, in compressed or encrypted bytes, or under a name that nothing here knows. Only as much is read as is shown: a
body of six megabytes costs little more than one of 64 KB, and each search needs time in proportion to its text.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import unquote_plus

from lattice_bridge.http import headers as names
from lattice_bridge.local.front.exchange.http_message import Pairs
from lattice_bridge.local.front.exchange.recorder import JWT, is_secret

SHOWN: Final = 64 * 1024
"""Bytes of a body that are shown."""
SHOWN_HEX: Final = 8 * 1024
"""Bytes of a body that are shown as hex, where each takes five characters."""
MASK: Final = "••••"

_KEYS: Final = (
    "secret|private|access|signing|encryption|shared|account|api|session|functions?|"
    "subscription|customer|master|storage"
)
_CODES: Final = "otp|auth|authorization|verification|reset|security|recovery|device|login"
_NAME: Final = re.compile(
    rf"(?:(?:{_KEYS})-?keys?|passw(?:or)?ds?|passwort|pwd|pass-?phrases?|pass-?codes?|(?:\A|-|db|user)pass|"
    rf"session-?id|sessid|(?:\A|-)(?:sid|sig|auth|session)|otp|pin|jwts?|assertion|saml-?response|cvv|cvc|"
    rf"(?:{_CODES})-?codes?)\Z"
)
"""Ends of folded names whose values are credentials, beside those of the recorder."""
_AROUND_NAME: Final = re.compile(r"(?:confirm(?:ation)?|again|repeat(?:ed)?|string|value|[\]\[0-9-])++\Z")
"""What may follow such a name, as in `user[password]`, `passwordConfirmation` and `SecretString`."""
_OF_A_QUERY: Final = frozenset({"code"})
"""Names of credentials in a query or a form. In JSON, they are those of other things."""
_OF_A_LINE: Final = re.compile(r"(?:cookie|authorization)\Z")
"""Ends of folded names whose values have spaces."""
_VALUE: Final = re.compile(
    rf"""
    (?P<jwt>{JWT})
    | \b(?:bearer|basic|negotiate|digest)\s+(?P<scheme>[\w.~+/-]{{6,}}=*)
    | \bSignature=(?P<signature>[0-9a-f]{{32,}})
    | (?P<key>\b(?:AKIA|ASIA)(?!IOSFODNN7EXAMPLE\b)[A-Z0-9]{{16}}\b)
    | -----BEGIN\ [A-Z ]{{0,64}}+PRIVATE\ KEY-----(?P<pem>[^-]*)
    | ://[^\s/?\#:@"'<>]{{0,256}}+:(?P<user>[^\s/?\#"'<>]{{1,256}})@
    """,
    re.I | re.X,
)
"""Credentials by their looks, in any text."""
_FIELD: Final = re.compile(r"(?<![\w.%\[\]-])(?P<name>[\w.%\[\]-]{2,}+)(?P<mark>[ \t]*+[=:][ \t]*+)")
"""The name in `name=value`, `name = value` and `name: value`, in any text."""
_NO_FIELD: Final = re.compile(r"(?:(?<=[0-9]{12}:)secret|jwt):(?!\s)")
"""Beginnings of names that are public: the ARN of a secret, and a caller with a token in the bridge's log lines."""
_FIELD_VALUE: Final = re.compile(
    r"\\*+\"(?P<double>(?:[^\"\\]|\\.)*+)|'(?P<single>(?:[^'\\]|\\.)*+)|(?P<word>[^&\s]++)", re.S
)
_LINE: Final = re.compile(r"[^\r\n]++")
_MEMBER: Final = re.compile(r"(?<!\\)(?P<q>\\{0,15}+[\"'])(?P<name>[\w.\[\]-]{2,64})(?P=q)\s*+[:,]\s*+")
"""The name in what is not quite JSON, such as the repr of a dict or of a list of pairs, or JSON that was cut."""
_MEMBER_VALUE: Final = re.compile(
    r"(?P<open>(?:\w{1,64}+)?[\[({])|\\*+b?\"(?P<double>(?:[^\"\\]|\\.)*+)|\\*+b?'(?P<single>(?:[^'\\]|\\.)*+)|(?P<word>[\w.+-]++)",
    re.S,
)
"""Its value. In a string with escaped quotation marks, it ends only with the string."""
_NAMED: Final = re.compile(r"(?P<q>\\{0,15}+[\"'])(?:value|Value)(?P=q)\s*+:\s*+")
"""What follows the name in `{'name': 'password', 'value': '…'}`."""
_PART: Final = re.compile(
    r"\bname=\\?\"(?P<name>[^\"\r\n\\]{1,128})\\?\"[^\r\n]{0,256}+(?:\r?\n[^\r\n]{1,256}+){0,8}?\r?\n\r?\n"
)
"""The head of a part of a form."""
_ELEMENT: Final = re.compile(
    r"<(?:[\w.-]{1,64}:)?(?P<name>[\w.-]{2,64})(?:\s[^<>]{0,256}+)?>(?:<!\[CDATA\[)?(?P<value>[^<]++)"
)
"""An element of XML that contains text."""
_WITHIN: Final = re.compile(
    r"(?P<open>[\[({])|(?P<close>[\])}])|\"(?P<double>(?:[^\"\\]|\\.)*+)\"?|'(?P<single>(?:[^'\\]|\\.)*+)'?|"
    r"(?P<escaped>\\{1,15}+[\"'])|(?P<word>[^\s\[\](){},:\"'\\]++)",
    re.S,
)
"""A token of a list or an object."""
_BRACKETS: Final = ("[", "(", "{")
_BASE64: Final = re.compile(r"(?=[A-Za-z0-9+/_-]{16})[A-Za-z0-9+/_\r\n-]++={0,2}\s*+")
_TOKEN: Final = re.compile(r"[ \t\r\n]*+(\"(?:[^\"\\]++|\\.)*+\"|[{}\[\],:]|[^\s{}\[\],:\"]++)", re.S)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?")
_DEPTH: Final = 8
"""Levels of JSON within strings of JSON."""
_NESTED: Final = 100
"""Levels of objects and lists. Each line of a deeper one would have a long indentation: it is shown as text."""

Kind = Literal["json", "text", "hex", "empty"]


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without credentials.

    Attributes:
        text: that may be shown.
        count: masked values.
    """

    text: str
    count: int = 0


def masked(value: str) -> str:
    """What is shown in place of a credential.

    >>> masked("hunter2")
    '•••• 7 characters'
    """
    return f"{MASK} {len(value)} character{'' if len(value) == 1 else 's'}"


def is_credential(name: str) -> bool:
    """Whether a name is that of a credential.

    >>> [is_credential(name) for name in ("Authorization", "clientSecret", "aws_secret_access_key", "tenant")]
    [True, True, True, False]
    """
    return _is_credential(name) if len(name) <= _LONGEST_NAME else _has_name(name[-_LONGEST_NAME:])


def _has_name(name: str) -> bool:
    if is_secret(name, None):
        return True
    folded = names.fold(name)
    kept = _AROUND_NAME.sub("", folded)
    return _NAME.search(folded) is not None or _NAME.search(kept) is not None or is_secret(kept, None)


_LONGEST_NAME: Final = 128
_is_credential: Final = lru_cache(4096)(_has_name)


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def masked_headers(pairs: Pairs) -> list[tuple[str, str, bool]]:
    """Headers with their values, and whether these are masked."""
    return [(name, *masked_field(name, value)) for name, value in pairs]


def masked_target(target: str) -> str:
    """A path and its query, without the values of credentials.

    >>> masked_target("/a?b=1&X-Amz-Signature=f00")
    '/a?b=1&X-Amz-Signature=•••• 3 characters'
    """
    path, mark, query = target.partition("?")
    path = masked_text(path).text
    return f"{path}?{'&'.join(_parameter(part) for part in query.split('&'))}" if mark else path


def masked_field(name: str, value: str) -> tuple[str, bool]:
    """A value with a name, such as a header's, and whether it is masked."""
    if is_secret(name, value) or is_credential(name):
        return masked(value), True
    found = masked_text(value)
    return found.text, bool(found.count)


def _parameter(part: str) -> str:
    name, mark, value = part.partition("=")
    if not mark:
        return masked_text(part).text
    plain = unquote_plus(value)
    folded = unquote_plus(name)
    is_masked = _is_of_a_form(folded) or is_secret("", plain) or masked_text(plain).count
    return f"{name}={masked(value)}" if is_masked else part


def _is_of_a_form(name: str) -> bool:
    return is_credential(name) or name.lower() in _OF_A_QUERY


# ---- text -----------------------------------------------------------------------------------------------------------


def masked_text(text: str) -> Masked:
    """A text of any kind, such as a log line, without what looks like a credential.

    >>> masked_text('login password=hunter2 {"apiKey": "abcdef"}').text
    'login password=•••• 7 characters {"apiKey": "•••• 6 characters"}'
    """
    spans = _spans(text)
    if not spans:
        return Masked(text)
    parts, at = [], 0
    for begin, end in spans:
        parts += [text[at:begin], masked(text[begin:end])]
        at = end
    return Masked("".join([*parts, text[at:]]), len(spans))


def _spans(text: str) -> list[tuple[int, int]]:
    """The places of credentials, in order and apart."""
    found: list[tuple[int, int]] = []
    for match in _VALUE.finditer(text):
        found += [match.span(name) for name, value in match.groupdict().items() if value]
    if "=" in text or ":" in text:
        found += _fields(text)
    if '"' in text or "'" in text:
        found += _members(text)
    if "<" in text:
        found += [match.span("value") for match in _ELEMENT.finditer(text) if is_credential(match["name"])]
    if "name=" in text:
        found += _parts(text)
    spans: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if spans and begin < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        elif end > begin:
            spans.append((begin, end))
    return spans


def _fields(text: str) -> Iterator[tuple[int, int]]:
    """The places of the values of fields: of a form, a query, a header, or a file with settings."""
    at = 0
    while (field := _FIELD.search(text, at)) is not None:
        at = field.end()
        name, is_pair = unquote_plus(field["name"]), field["mark"] == "="
        if not (_is_of_a_form(name) if is_pair else is_credential(name)) or _NO_FIELD.match(text, field.start()):
            continue
        if text[at : at + 1] in _BRACKETS:
            spans, at = _nested(text, at)
            yield from spans
        elif (value := (_LINE if _has_spaces(name, is_pair) else _FIELD_VALUE).match(text, at)) is not None:
            yield value.span(value.lastgroup or 0)
            at = value.end()


def _has_spaces(name: str, is_pair: bool) -> bool:
    return not is_pair and _OF_A_LINE.search(names.fold(name)) is not None


def _members(text: str) -> Iterator[tuple[int, int]]:
    """The places of the values of members and of pairs whose names are those of credentials."""
    at = 0
    while (name := _MEMBER.search(text, at)) is not None:
        at = name.end()
        if not is_credential(name["name"]):
            continue
        named = _NAMED.match(text, at)
        value = _MEMBER_VALUE.match(text, at if named is None else named.end())
        if value is None:
            continue
        if value["open"] is None:
            spans, at = [value.span(value.lastgroup or 0)], value.end()
        else:
            spans, at = _nested(text, value.end() - 1)
        yield from spans


def _nested(text: str, at: int) -> tuple[list[tuple[int, int]], int]:
    """The places of everything in the list or the object that begins here, and its end or that of the text."""
    spans: list[tuple[int, int]] = []
    depth = 0
    while (match := _WITHIN.search(text, at)) is not None:
        kind, at = match.lastgroup or "", match.end()
        if kind in ("open", "close"):
            depth += 1 if kind == "open" else -1
            if depth == 0:
                return spans, at
            if depth > _NESTED:
                return [*spans, (at, len(text))], len(text)
        elif kind == "escaped":  # a string within a string ends with the same quotation mark
            end = text.find(match[kind], at)
            spans.append((at, end if end >= 0 else len(text)))
            at = spans[-1][1] + (len(match[kind]) if end >= 0 else 0)
        else:
            spans.append(match.span(kind))
    return spans, len(text)


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """The places of the values of a form in several parts."""
    at = 0
    while (head := _PART.search(text, at)) is not None:
        at = head.end()
        if is_credential(head["name"]):
            end = text.find("\n--", at)
            yield at, (at := len(text) if end < 0 else end)


# ---- JSON -----------------------------------------------------------------------------------------------------------


class _NotJson(Exception):
    """The text is not JSON."""


@dataclass(slots=True)
class _Container:
    """An object or a list that is being read.

    Attributes:
        closes: its last character.
        expects: `name`, `colon`, `value` or `comma`. If it is empty, its end is possible too.
        secret: it is the value of a credential, or within one.
        name: of the member that is read; None in a list.
        about: the value of its member `name` or `key`, as in `{"name": "password", "value": "…"}`; of a list its first
            item, as in `["password", "…"]`.
        later: the place among the parts and the text of a value that is masked if the container is about a credential.
        items: of a list.
    """

    closes: str
    expects: str
    secret: bool
    name: str | None = None
    about: str = ""
    is_empty: bool = True
    later: tuple[int, str] | None = None
    items: int = 0


_COMMA, _COLON = ",", ":"
_NAME_NAMES: Final = frozenset({"name", "key", "Name", "Key"})
_VALUE_NAMES: Final = frozenset({"value", "Value", "stringValue"})
"""Members of an object that has a name and a value."""
_OPENS: Final = {"{": ("}", "name"), "[": ("]", "value")}
"""Opening character → the closing one, and what is expected first."""


class _JsonReader:
    """Writes JSON again, as it came in order and with its numbers, without the values of credentials.

    Args:
        text: that is read.
        limit: characters that are read.
        indent: as in `json.dumps`; None for one line.
        depth: levels of JSON that this one is within.
    """

    def __init__(self, text: str, limit: int, indent: int | None, depth: int = 0) -> None:
        self._text = text
        self._limit = limit
        self._indent = indent
        self._depth = depth
        self._stack: list[_Container] = []
        self._parts: list[str] = []
        self.count = 0
        self.read = 0

    def written(self) -> str:
        """The text. `read` is then the number of characters of the original that it shows.

        Raises:
            _NotJson: the part that was read is not the beginning of JSON.
        """
        at, end, text = 0, len(self._text), self._text
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                if text[at:].strip(" \t\r\n"):
                    raise _NotJson
                at = end
                break
            if at and not self._stack:
                raise _NotJson  # behind the end
            self._take(match[1], max(256, self._limit - at))
            at = match.end()
            if at >= self._limit:
                break
        if at >= end and (self._stack or not self._parts):
            raise _NotJson
        for container in self._stack:  # it was cut
            self._mask_later(container)
        self.read = min(at, self._limit) if at < end or at > self._limit else end
        return "".join(self._parts)

    def _take(self, token: str, room: int) -> None:
        container = self._stack[-1] if self._stack else None
        if container is not None and token == container.closes:
            if not (container.expects == "comma" or container.is_empty):
                raise _NotJson
            self._stack.pop()
            self._mask_later(container)
            if not container.is_empty:
                self._line()
            self._parts.append(token)
        elif container is not None and container.expects == "comma":
            if token != _COMMA:
                raise _NotJson
            container.expects = "value" if container.closes == "]" else "name"
            self._parts.append("," if self._indent else ", ")
            self._line()
        elif container is not None and container.expects == "colon":
            if token != _COLON:
                raise _NotJson
            container.expects = "value"
            self._parts.append(": ")
        elif container is not None and container.expects == "name":
            if token[0] != '"':
                raise _NotJson
            self._begin(container)
            container.name, container.expects = _string(token), "colon"
            self._parts.append(token)
        else:
            self._value(container, token, room)

    def _begin(self, container: _Container) -> None:
        if container.is_empty:
            container.is_empty = False
            self._line()

    def _value(self, container: _Container | None, token: str, room: int) -> None:
        secret = container is not None and self._is_secret(container, token)
        if container is not None:
            container.expects = "comma"
        if token in _OPENS:
            if len(self._stack) >= _NESTED:
                raise _NotJson
            self._stack.append(_Container(*_OPENS[token], secret))
        elif token[0] == '"':
            token = self._masked_string(token, secret, room)
        elif token not in ("true", "false", "null"):
            if not _NUMBER.fullmatch(token):
                raise _NotJson
            if secret:
                self.count += 1
                token = json.dumps(masked(token), ensure_ascii=False)
        self._parts.append(token)

    def _is_secret(self, container: _Container, token: str) -> bool:
        """Whether a value is a credential by its name, or by what its object or its list is about."""
        secret = container.secret or (container.name is not None and is_credential(container.name))
        if container.closes == "]":
            self._begin(container)
            container.items += 1
            is_value, is_name = container.items == 2, container.items == 1
            if container.items == 3:
                container.later = None  # no pair
        else:
            is_value, is_name = container.name in _VALUE_NAMES, container.name in _NAME_NAMES
        if is_name and token[0] == '"' and len(token) <= _LONGEST_NAME:
            container.about = _string(token)
        if is_value and not secret:
            if token not in _OPENS:
                container.later = len(self._parts), token
            else:
                secret = is_credential(container.about)
        return secret

    def _mask_later(self, container: _Container) -> None:
        if container.later is not None and is_credential(container.about):
            place, token = container.later
            self._parts[place] = json.dumps(masked(_string(token)), ensure_ascii=False)
            self.count += 1

    def _masked_string(self, token: str, secret: bool, room: int) -> str:
        value = _string(token)
        if secret:
            self.count += 1
            return json.dumps(masked(value), ensure_ascii=False)
        if len(token) > room:
            value = value[:room]
        found = _within(value, room, self._depth)
        self.count += found.count
        if not found.count and len(token) <= room:
            return token
        return json.dumps(f"{found.text}{'…' if len(token) > room else ''}", ensure_ascii=False)

    def _line(self) -> None:
        if self._indent:
            self._parts.append(f"\n{' ' * self._indent * len(self._stack)}")


def _within(value: str, room: int, depth: int) -> Masked:
    """A string of JSON, which may be JSON, base64 of it, or any text."""
    if depth < _DEPTH:
        if value.lstrip()[:1] in ("{", "["):
            reader = _JsonReader(value, room, None, depth + 1)
            try:
                written = reader.written()
            except _NotJson:
                return masked_text(value)
            return Masked(written, reader.count) if reader.count else Masked(value)
        if _BASE64.fullmatch(value) and (found := _within_base64(value, room, depth)) is not None:
            return found
    return masked_text(value)


_URL_SAFE: Final = str.maketrans("-_", "+/", "\r\n\t ")


def _within_base64(value: str, room: int, depth: int) -> Masked | None:
    """The base64 of a text or of bytes, without the credentials in these; None if it is none, or contains none."""
    plain = value.translate(_URL_SAFE).rstrip("=")
    plain = plain[:-1] if len(plain) % 4 == 1 else plain  # it may have been cut
    try:
        data = base64.b64decode(f"{plain}{'=' * (-len(plain) % 4)}")
    except binascii.Error:
        return None
    text = data.decode("utf-8", "replace")
    if "�" not in text[:16] and all(one.isprintable() or one in "\r\n\t" for one in text[:16]):
        found = _within(text, room, depth + 1)
        data, count = found.text.encode(), found.count
    else:
        spans = _spans(data.decode("latin-1"))
        data, count = _starred(data, spans), len(spans)
    return Masked(base64.b64encode(data).decode("ascii"), count) if count else None


def _string(token: str) -> str:
    try:
        value: Any = json.loads(token, strict=False)
    except ValueError as error:
        raise _NotJson from error
    return str(value)


# ---- bodies ---------------------------------------------------------------------------------------------------------


def body(data: bytes | None, limit: int = SHOWN) -> dict[str, Any]:
    """A body as the page shows it: `kind`, `text`, and the numbers of bytes in it, bytes shown, and masked values."""
    if not data:
        return _body("empty", "", 0, 0, 0)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _hex(data, min(limit, SHOWN_HEX))
    if text.lstrip(" \t\r\n")[:1] in ("{", "[", '"'):
        reader = _JsonReader(text, limit, 2)
        try:
            written = reader.written()
        except _NotJson:
            pass
        else:
            return _body("json", written, len(data), _bytes(text, reader.read, len(data)), reader.count)
    if not _is_text(text[:limit]):
        return _hex(data, min(limit, SHOWN_HEX))
    # A value that is cut by the limit is masked as far as it is shown.
    found = _within(text[:limit], limit, 0)
    return _body("text", found.text, len(data), _bytes(text, limit, len(data)), found.count)


def _body(kind: Kind, text: str, size: int, shown: int, count: int) -> dict[str, Any]:
    return {"kind": kind, "text": text, "bytes": size, "shown": shown, "masked": count}


def _bytes(text: str, read: int, size: int) -> int:
    """The bytes of so many characters."""
    return size if read >= len(text) else len(text[:read].encode())


def _is_text(text: str) -> bool:
    return "\0" not in text


def _hex(data: bytes, limit: int) -> dict[str, Any]:
    """The beginning as offset, hex and ASCII, sixteen bytes a line. The bytes of a credential are asterisks."""
    spans = _spans(data[: limit + 4096].decode("latin-1"))
    shown = _starred(data[:limit], spans)
    lines = "\n".join(_hex_lines(shown))
    return _body("hex", lines, len(data), len(shown), sum(begin < limit for begin, _ in spans))


def _starred(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    shown = bytearray(data)
    for begin, end in spans:
        shown[begin:end] = b"*" * len(shown[begin:end])
    return bytes(shown)


def _hex_lines(data: bytes) -> Iterator[str]:
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        plain = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{at:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  {plain}"


def masked_line(line: str) -> str:
    """A log line without credentials: of a JSON line, also by the names of its members."""
    return _within(line, len(line), 0).text
