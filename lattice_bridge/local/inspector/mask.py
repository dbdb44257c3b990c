"""The content of an entry as it is shown: shortened, as JSON, text or hex, and without credentials.

Rule: a value is masked if its name is that of a credential, or if it looks like a credential: see `credentials`. What
is in no format that is known there is shown as it came: a password in a sentence, in encrypted bytes, or under a name
that nothing there knows. Only as much is read as is shown: a body of six megabytes costs little more than one of 64 KB.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import unquote, unquote_plus

from lattice_bridge.http import headers as names
from lattice_bridge.local.front.exchange.http_message import Pairs
from lattice_bridge.local.front.exchange.recorder import is_secret
from lattice_bridge.local.inspector.credentials import (
    Spans,
    as_text,
    base64_in,
    byte_spans,
    from_base64,
    is_credential,
    is_of_a_form,
    joined,
    spans_of,
)

SHOWN: Final = 64 * 1024
"""Bytes of a body that are shown."""
SHOWN_HEX: Final = 8 * 1024
"""Bytes of a body that are shown as hex, where each takes five characters."""
MASK: Final = "••••"
_ESCAPED_MASK: Final = r"\u2022\u2022"

_BASE64: Final = re.compile(r"(?=[A-Za-z0-9+/_-]{16})[A-Za-z0-9+/_\r\n-]++={0,2}\s*+")
_TOKEN: Final = re.compile(r"[ \t\r\n]*+(\"(?:[^\"\\]++|\\.)*+\"|[{}\[\],:]|[^\s{}\[\],:\"]++)", re.S)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?")
_LONGEST_NAME: Final = 128
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


def has_mask(text: str, depth: int = 0) -> bool:
    """Whether a text contains what is shown in place of a credential, also within base64.

    >>> has_mask("a=•••• 7 characters"), has_mask('{"a": "4oCi4oCi4oCi4oCiIDcgY2hhcmFjdGVycw=="}'), has_mask("a")
    (True, True, False)
    """
    if MASK in text or _ESCAPED_MASK in text:
        return True
    return depth < _DEPTH and any(has_mask(data.decode("utf-8", "replace"), depth + 1) for data in base64_in(text))


def starred(data: bytes) -> tuple[bytes, Spans]:
    """Bytes that are no text as they are shown, with the places of the asterisks."""
    spans = byte_spans(data[:SHOWN])
    return _starred(data, spans), spans


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
    shown = masked_text(path)
    if not shown.count and masked_text(unquote(path)).count:  # with spaces, it is another text
        shown = Masked(f"/{masked(path[1:])}", 1)
    if not mark:
        return shown.text
    parts, at, spans = [], 0, spans_of(query)
    for part in query.split("&"):
        end = at + len(part)
        is_hidden = any(begin < end and at < last for begin, last in spans) or masked_text(unquote_plus(part)).count
        parts.append(_parameter(part, is_hidden=bool(is_hidden)))
        at = end + 1
    return f"{shown.text}?{'&'.join(parts)}"


def masked_field(name: str, value: str) -> tuple[str, bool]:
    """A value with a name, such as a header's, and whether it is masked."""
    if is_secret(name, value) or is_credential(name):
        return masked(value), True
    found = masked_text(value)
    return found.text, bool(found.count)


def _parameter(part: str, *, is_hidden: bool) -> str:
    name, mark, value = part.partition("=")
    if not mark:
        return masked(part) if is_hidden else part
    name = masked_text(name).text
    plain = unquote_plus(value)
    is_named = is_hidden or is_of_a_form(unquote_plus(name)) or is_secret("", plain)
    return f"{name}={masked(value) if is_named or masked_text(plain).count else value}"


# ---- text -----------------------------------------------------------------------------------------------------------


def masked_text(text: str) -> Masked:
    """A text of any kind, such as a log line, without credentials: of JSON, also by the names of its members.

    >>> masked_text('login password=hunter2 {"apiKey": "abcdef"}').text
    'login password=•••• 7 characters {"apiKey": "•••• 6 characters"}'
    """
    return _within(text, len(text), 0)


def masked_line(line: str) -> str:
    """As `masked_text`, without the number of masked values."""
    return masked_text(line).text


def _replaced(text: str, spans: Spans) -> Masked:
    if not spans:
        return Masked(text)
    parts, at = [], 0
    for begin, end in spans:
        parts += [text[at:begin], masked(text[begin:end])]
        at = end
    return Masked("".join([*parts, text[at:]]), len(spans))


def masked_lines(lines: Sequence[str]) -> list[str]:
    """Lines that were printed one after the other, without credentials: also one that goes on over several lines, as a
    private key or a list in indented JSON does.

    >>> masked_lines(["{", '"tokens": [', '"abcdef"', "]}"])
    ['{', '"tokens": [', '"•••• 6 characters"', ']}']
    """
    spans = iter(spans_of("\n".join(lines), is_tail=True))
    span = next(spans, None)
    found, at = [], 0
    for line in lines:
        end, here = at + len(line), list[tuple[int, int]]()
        while span is not None and span[0] < end:
            here.append((max(span[0], at) - at, min(span[1], end) - at))
            if span[1] > end:
                break
            span = next(spans, None)
        found.append(_masked_line_among(line, [one for one in here if one[0] < one[1]]))
        at = end + 1
    return found


def _masked_line_among(line: str, spans: Spans) -> str:
    """A line of several, with the places of credentials that the others show."""
    alone = masked_line(line)
    own = spans_of(line)
    if all(any(begin <= span[0] and span[1] <= end for begin, end in own) for span in spans):
        return alone
    if alone != _replaced(line, own).text:  # JSON, whose places are not known
        return masked(line)
    return _replaced(line, joined([*own, *spans])).text


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
        is_form: its names are those of a query.
        name: of the member that is read; None in a list.
        about: the value of its member `name` or `key`, as in `{"name": "password", "value": "…"}`; of a list the last
            item that may be a name, as in `["password", "…", "colour", "…"]`.
        later: the first and the last place among the parts of each value that is masked if it turns out to be that of
            a credential.
        items: of a list.
    """

    closes: str
    expects: str
    secret: bool
    is_form: bool = False
    name: str | None = None
    about: str = ""
    is_empty: bool = True
    later: list[tuple[int, int]] = field(default_factory=list)
    items: int = 0


_COMMA, _COLON = ",", ":"
_OPEN: Final = -1
"""The end of a value that has not ended."""
_NAME_NAMES: Final = frozenset({"name", "key", "k", "header", "headername", "parametername"})
_VALUE_NAMES: Final = frozenset({"value", "v", "stringvalue", "headervalue", "parametervalue"})
"""Members of an object that has a name and a value, in lower case."""
_QUERIES: Final = re.compile(r"(?:query-?string-?parameters|query-?params|query)\Z")
"""Ends of folded names of objects whose members are those of a query."""
_TYPE: Final = "S"
"""The type of a string in DynamoDB's JSON."""
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
        for container in reversed(self._stack):  # it was cut
            self._mask_later(container, is_cut=True)
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
            if self._stack and (later := self._stack[-1].later) and later[-1][1] == _OPEN:
                later[-1] = later[-1][0], len(self._parts)
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
            self._parts.append(self._masked_name(token, container.name))
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
            is_form = container is not None and container.name is not None and _is_query(container.name)
            self._stack.append(_Container(*_OPENS[token], secret, is_form))
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
        is_list, name = container.closes == "]", container.name
        if is_list:
            self._begin(container)
            container.items += 1
            is_value = container.items % 2 == 0 and is_credential(container.about)
            is_name = container.items % 2 == 1
            container.about = ""
        else:
            plain = _plain(name)
            is_value, is_name = plain in _VALUE_NAMES, plain in _NAME_NAMES
        if is_name and token[0] == '"' and len(token) <= _LONGEST_NAME:
            container.about = _string(token)
        elif name == _TYPE and token[0] == '"' and len(self._stack) > 1 and _plain(self._stack[-2].name) in _NAME_NAMES:
            self._stack[-2].about = _string(token)
        if container.secret or (name is not None and (is_of_a_form if container.is_form else is_credential)(name)):
            return True
        if is_value and not is_list and is_credential(container.about):
            return True
        if is_value:
            container.later.append((len(self._parts), _OPEN if token in _OPENS else len(self._parts) + 1))
        return False

    def _mask_later(self, container: _Container, *, is_cut: bool = False) -> None:
        """Masks what is now known to be a credential. A list is one of names and values only if it has as many."""
        is_list = container.closes == "]"
        if not (is_cut or container.items % 2 == 0 if is_list else is_credential(container.about)):
            return
        for begin, end in container.later:
            end = len(self._parts) if end == _OPEN else end
            written = "".join(self._parts[begin:end])
            value = _string(written) if written[:1] == '"' else written
            if written and MASK not in written[:8]:
                self._parts[begin:end] = [json.dumps(masked(value), ensure_ascii=False), *[""] * (end - begin - 1)]
                self.count += 1

    def _masked_name(self, token: str, name: str) -> str:
        found = masked_text(name)
        self.count += found.count
        return json.dumps(found.text, ensure_ascii=False) if found.count else token

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


def _plain(name: str | None) -> str:
    return "" if name is None else name.lower().replace("_", "").replace("-", "")


def _is_query(name: str) -> bool:
    return _QUERIES.search(names.fold(name)) is not None


def _within(value: str, room: int, depth: int) -> Masked:
    """A string of JSON, which may be JSON, base64 of it, or any text."""
    if depth < _DEPTH:
        if value.lstrip()[:1] in ("{", "["):
            reader = _JsonReader(value, room, None, depth + 1)
            try:
                written = reader.written()
            except _NotJson:
                return _replaced(value, spans_of(value))
            return Masked(written, reader.count) if reader.count else Masked(value)
        if _BASE64.fullmatch(value) and (found := _within_base64(value, room, depth)) is not None:
            return found
    return _replaced(value, spans_of(value))


def _within_base64(value: str, room: int, depth: int) -> Masked | None:
    """The base64 of a text or of bytes, without the credentials in these; None if it is none, or contains none."""
    data = from_base64(value)
    if data is None:
        return None
    text = as_text(data)
    if text is not None:
        found = _within(text, room, depth + 1)
        data, count = found.text.encode(), found.count
    else:
        spans = byte_spans(data)
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
    spans = byte_spans(data[: limit + 4096])
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
