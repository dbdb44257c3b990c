"""The places of credentials in any text.

Rule: a value is a credential if its name is that of one, or if it looks like one. Names are read in headers, queries,
forms (also of several parts), XML and HTML, settings, options of commands, `name: value` and `name = value`, JSON and
the repr of a dict at any depth. All of that is also read in what a text contains as base64, hex, gzip, or in the
encoding of URLs. Each search needs time in proportion to its text: a caller chooses it.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from lattice_bridge.config.regular_file import MIB
from lattice_bridge.http import headers as names
from lattice_bridge.local.front.exchange.recorder import JWT, is_secret

Spans = list[tuple[int, int]]

_KEYS: Final = (
    "secret|private|access|signing|encryption|shared|account|api|session|functions?|"
    "subscription|customer|master|storage|licen[cs]e"
)
_CODES: Final = "otp|totp|mfa|sms|pin|auth|authorization|verification|reset|security|recovery|device|login"
_NAME: Final = re.compile(
    rf"(?:(?:{_KEYS})-?keys?|passw(?:or)?ds?|passwort|pwd|pass-?phrases?|pass-?codes?|(?:\A|-|db|user)(?:pass|pw)|"
    rf"session-?id|sessid|(?:\A|-)(?:sid|sig|auth|session|hmac|bearer|creds?|mfa|[cx]srf)|otp|pin|jwts?|assertion|"
    rf"saml-?response|cvv|cvc|(?:{_CODES})-?codes?)\Z"
)
"""Ends of folded names whose values are credentials, beside those of the recorder."""
_AROUND_NAME: Final = re.compile(
    r"(?:confirm(?:ation)?|again|repeat(?:ed)?|string|value|hash|digest|plain|text|pem|base64|[\]\[0-9-])++\Z"
)
"""What may follow such a name, as in `user[password]`, `passwordConfirmation` and `SecretString`."""
_OF_A_FORM: Final = frozenset({"code"})
"""Names of credentials in a query or a form. In JSON, they are those of other things."""
_OF_A_LINE: Final = re.compile(r"(?:cookies?|authorization)\Z")
"""Ends of folded names whose values have spaces."""
_LONGEST_NAME: Final = 128

# ---- names ----------------------------------------------------------------------------------------------------------


def is_credential(name: str) -> bool:
    """Whether a name is that of a credential.

    >>> [is_credential(name) for name in ("Authorization", "clientSecret", "aws_secret_access_key", "tenant")]
    [True, True, True, False]
    """
    return _is_credential(name) if len(name) <= _LONGEST_NAME else _has_name(name[-_LONGEST_NAME:])


def is_of_a_form(name: str) -> bool:
    """Whether a name is that of a credential in a query or a form."""
    return is_credential(name) or name.lower() in _OF_A_FORM


def _has_name(name: str) -> bool:
    if is_secret(name, None):
        return True
    folded = names.fold(name)
    kept = _AROUND_NAME.sub("", folded)
    return _NAME.search(folded) is not None or _NAME.search(kept) is not None or is_secret(kept, None)


_is_credential: Final = lru_cache(4096)(_has_name)

# ---- looks ----------------------------------------------------------------------------------------------------------

_VALUE: Final = re.compile(
    rf"""
    (?P<jwt>{JWT})
    | \b(?:bearer|basic|negotiate|digest)\s+(?P<scheme>[\w.~+/-]{{6,}}=*)
    | \bSignature=(?P<signature>[0-9a-f]{{32,}})
    | (?P<key>\b(?:AKIA|ASIA)(?!IOSFODNN7EXAMPLE\b)[A-Z0-9]{{16}}\b)
    | (?P<session>(?-i:\b(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[\w+/=%-]{{16,}}))
    | -----BEGIN\ [A-Z0-9 ]{{0,64}}PRIVATE\ KEY(?:\ BLOCK)?-----(?P<pem>(?:[^-]++|-(?!----))++)
    | ://[^\s/?\#:@"'<>]{{0,256}}+:(?P<user>[^\s/?\#"'<>]{{1,256}})@
    | (?<!http)(?<!https)://[^\s/?\#:@"'<>]{{0,256}}+:(?P<login>[^\s"'<>]{{1,256}})@
    | ://(?P<alone>[^\s/?\#:@"'<>]{{16,256}})@
    | \s(?:-u|--user)[\s=]\s{{0,4}}+["']?[^\s:"']{{1,256}}+:(?P<option>[^\s"']++)
    | hooks\.slack\.com/services/(?P<hook>[\w/]++)
    | (?P<issued>(?-i:\b(?:
        gh[opsru]_[A-Za-z0-9]{{36}} | github_pat_\w{{22}} | glpat-[\w-]{{20}} | npm_[A-Za-z0-9]{{36}}
        | [rs]k_(?:live|test)_\w{{16}} | xox[abeoprs]-[\w-]{{10}} | AIza[\w-]{{35}} | ya29\.[\w-]{{16}}
        | SG\.[\w-]{{16}}[\w-]*+\.[\w-]{{16}} | sk-[\w-]{{20}} | hv[bs]\.[\w-]{{20}}
      )[\w-]*+))
    """,
    re.I | re.X,
)
"""Credentials by their looks, also those that begin as their issuer's do."""

# ---- fields ---------------------------------------------------------------------------------------------------------

_MARK: Final = r"[ \t]*+(?::=|:(?!:)|=>|={1,3}+|->)[ \t]*+"
_FIELD: Final = re.compile(
    rf"(?<![\w.%\[\]-])(?P<before>(?:(?:access|api|auth|client|private|secret)\ )?)(?P<name>[\w.%\[\]-]{{2,}}+)"
    rf"(?P<mark>{_MARK})",
    re.I | re.X,
)
"""The name in `name=value`, `name = value` and `name: value`, in any text."""
_NO_FIELD: Final = re.compile(r"(?:(?<=[0-9]{12}:)secret|jwt):(?!\s)")
"""Beginnings of names that are public: the ARN of a secret, and a caller with a token in the bridge's log lines."""
_KEY_TAIL: Final = re.compile(r"(?P<pem>(?:[^-]++|-(?!----))++)-----END [A-Z0-9 ]{0,64}PRIVATE KEY")
"""The end of a private key whose beginning was cut off. It is the first thing that looks like a mark of PEM."""

_FIELD_VALUE: Final = re.compile(
    r"\"\"\"(?P<many>[^\"]*+)\"\"\"|\\*+\"(?P<double>(?:[^\"\\]|\\.)*+)|'(?P<single>(?:[^'\\]|\\.)*+)|(?P<word>[^&\s]++)",
    re.S,
)
_LINE: Final = re.compile(r"[^\r\n]++")
_PAIRS: Final = re.compile(r"[^&\r\n]++")
_BLOCK_HEAD: Final = re.compile(r"(?:[|>][0-9+-]{0,2})?[ \t]*+\r?\n")
"""The end of a line of YAML whose value follows in deeper lines."""
_INDENT: Final = re.compile(r"[ \t]*+")
_FLAG: Final = re.compile(
    r"(?<![\w-])--?(?P<name>[A-Za-z][\w-]{1,64}+)[ \t]++[\"']?(?P<value>(?<=[\"'])[^\"']++|(?!-)[^\s\"']++)"
)
"""An option of a command."""
_SEGMENT: Final = re.compile(
    r"/(?P<name>[\w-]{2,64}+)/(?=[^/\s]{0,64}[0-9])(?=[^/\s]{0,64}[A-Za-z])(?P<value>[\w.~%=+-]{16,}+)"
)
"""A part of a path that looks like chance, behind one that is the name of a credential."""


def _fields(text: str) -> Iterator[tuple[int, int]]:
    """The places of the values of fields: of a form, a query, a header, or a file with settings."""
    at = 0
    while (field := _FIELD.search(text, at)) is not None:
        at = field.end()
        name, is_pair = f"{field['before']}{unquote_plus(field['name'])}", field["mark"] == "="
        if not (is_of_a_form(name) if is_pair else is_credential(name)) or _NO_FIELD.match(text, field.start()):
            continue
        if text[at : at + 1] in _BRACKETS:
            spans, at = _nested(text, at)
            yield from spans
        elif (head := _BLOCK_HEAD.match(text, at)) is not None:
            spans, at = _block(text, field.start(), head.end())
            yield from spans
        elif (value := _value_of(name, is_pair=is_pair).match(text, at)) is not None:
            yield value.span(value.lastgroup or 0)
            at = value.end()


def _value_of(name: str, *, is_pair: bool) -> re.Pattern[str]:
    if _OF_A_LINE.search(names.fold(name)) is None:
        return _FIELD_VALUE
    if not is_pair:
        return _LINE
    return _FIELD_VALUE if name.lower().endswith("n") else _PAIRS  # a cookie has several values


def _block(text: str, begin: int, at: int) -> tuple[Spans, int]:
    """The places of the lines that are deeper than that of a name, or items of a list at its own depth."""
    line = max(text.rfind("\n", max(0, begin - 200), begin), begin - 200) + 1
    depth = len(_INDENT.match(text, line)[0]) if line <= begin else 0  # type: ignore[index] # it always matches
    spans: Spans = []
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        indent = len(_INDENT.match(text, at, end)[0])  # type: ignore[index] # see above
        if at + indent < end and not (indent > depth or (indent == depth and text.startswith("- ", at + indent))):
            break
        spans.append((at + indent, end))
        at = end + 1
    return spans, min(at, len(text))


# ---- JSON, and what is like it --------------------------------------------------------------------------------------

_QUOTE: Final = r"\\{0,15}+[\"']|&(?:quot|apos|\#34|\#39);"
_MEMBER: Final = re.compile(rf"(?<!\\)(?P<q>{_QUOTE})(?P<name>[\w.\[\]-]{{2,64}})(?P=q)\s*+(?:=>|[:,])\s*+")
"""The name in what is not quite JSON, such as the repr of a dict or of a list of pairs, or JSON that was cut."""
_MEMBER_VALUE: Final = re.compile(
    r"(?P<open>(?:\w{1,64}+)?[\[({])|\\*+b?\"(?P<double>(?:[^\"\\]|\\.)*+)|\\*+b?'(?P<single>(?:[^'\\]|\\.)*+)|"
    r"&(?:quot|apos|\#34|\#39);(?P<entity>[^&]++)|(?P<word>[\w.+-]++)",
    re.S,
)
"""Its value. In a string with escaped quotation marks, it ends only with the string."""
_VALUE_NAME: Final = r"(?:(?:string|header|parameter)?value|v)"
_NAMED: Final = re.compile(rf"(?P<q>{_QUOTE}){_VALUE_NAME}(?P=q)\s*+:\s*+", re.I)
"""What follows the name in `{'name': 'password', 'value': '…'}`."""
_REVERSED: Final = re.compile(
    rf"(?P<q>{_QUOTE}){_VALUE_NAME}(?P=q)\s*+:\s*+(?P<value>\\*+\"(?:[^\"\\]|\\(?!\"))*+|'[^']*+|\[[^\[\]]*+|[\w.+-]++)"
    rf"(?:\\*+\"|'|\])?\s*+,\s*+(?P=q)(?:name|key|k|headername|parametername)(?P=q)\s*+:\s*+(?P=q)(?P<name>[\w.\[\]-]{{2,64}})",
    re.I | re.S,
)
"""The same with the value in front."""
_IN_EVENT: Final = "ueryString"
"""A text with it contains an event, whose query has the names of a form."""
_WITHIN: Final = re.compile(
    r"(?P<open>[\[({])|(?P<close>[\])}])|\"(?P<double>(?:[^\"\\]|\\.)*+)\"?|'(?P<single>(?:[^'\\]|\\.)*+)'?|"
    r"(?P<escaped>\\{1,15}+[\"'])|(?P<word>[^\s\[\](){},:\"'\\]++)",
    re.S,
)
"""A token of a list or an object."""
_BRACKETS: Final = ("[", "(", "{")
_NESTED: Final = 100


def _members(text: str) -> Iterator[tuple[int, int]]:
    """The places of the values of members and of pairs whose names are those of credentials."""
    at, is_named = 0, is_of_a_form if _IN_EVENT in text else is_credential
    while (name := _MEMBER.search(text, at)) is not None:
        at = name.end()
        if not is_named(name["name"]):
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


def _nested(text: str, at: int) -> tuple[Spans, int]:
    """The places of everything in the list or the object that begins here, and its end or that of the text."""
    spans: Spans = []
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


# ---- XML, HTML, and forms of several parts --------------------------------------------------------------------------

_ELEMENT: Final = re.compile(r"(?:<|&lt;)(?:[\w.-]{1,64}:)?(?P<name>[\w.-]{2,64})(?:\s[^<>&]{0,256}+)?(?<!/)(?:>|&gt;)")
"""The beginning of an element of XML."""
_TEXT: Final = re.compile(r"[^<&]++")
_TAG: Final = re.compile(r"<[\w:.-]{1,64}\s(?P<attributes>[^<>]{1,2048}+)")
_TAG_NAME: Final = re.compile(
    r"(?<![\w-])(?:name|id|key|property|type)\s{0,4}+=\s{0,4}+\\?[\"']?(?P<name>[\w.\[\]-]{2,64})", re.I
)
_TAG_VALUE: Final = re.compile(
    r"(?<![\w-])(?:value|content)\s{0,4}+=\s{0,4}+(?P<q>\\?[\"'])(?P<value>(?:(?!(?P=q)).)++)", re.I | re.S
)
"""The attributes of `<input name="password" value="…">`."""
_PART: Final = re.compile(
    r"(?<![\w-])name=(?P<q>\\?[\"'])?(?P<name>[^\"'\r\n\\;]{1,128}+)[^\r\n]{0,256}+(?:\r?\n[^\r\n]{1,256}+){0,8}?"
    r"\r?\n\r?\n",
    re.I,
)
"""The head of a part of a form."""
_BOUNDARY: Final = re.compile(r"--[^\r\n]{1,128}+(?=\r?\n)")


def _elements(text: str) -> Iterator[tuple[int, int]]:
    """The places of what is in elements of XML whose names are those of credentials, also in further elements."""
    at, never_closed = 0, set[str]()
    while (element := _ELEMENT.search(text, at)) is not None:
        at, name = element.end(), element["name"]
        if not is_credential(name):
            continue
        mark = "&lt;/" if text.startswith("&", element.start()) else "</"
        closing = f"{mark}{text[element.start() + len(mark) - 1 : element.end('name')]}"
        end = -1 if closing in never_closed else text.find(closing, at)
        if end >= 0:
            yield at, end
            at = end
        else:
            never_closed.add(closing)
            if (value := (_LINE if text.startswith("<", at) else _TEXT).match(text, at)) is not None:
                yield value.span()
                at = value.end()


def _tags(text: str) -> Iterator[tuple[int, int]]:
    """The places of the values of tags that name a credential."""
    for tag in _TAG.finditer(text):
        found = _TAG_NAME.finditer(text, *tag.span("attributes"))
        if any(is_credential(name["name"]) for name in found):
            for value in _TAG_VALUE.finditer(text, *tag.span("attributes")):
                yield value.span("value")


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """The places of the values of a form in several parts. A part ends with the boundary that it began with."""
    at = 0
    while (head := _PART.search(text, at)) is not None:
        at = head.end()
        if is_credential(head["name"].strip()):
            begin = text.rfind("\n--", max(0, head.start() - 512), head.start()) + 1
            boundary = _BOUNDARY.match(text, begin) or _BOUNDARY.match(text, max(0, head.start() - 512))
            end = text.find(f"\n{boundary[0] if boundary else '--'}", at)
            yield at, (at := len(text) if end < 0 else end)


# ---- encoded --------------------------------------------------------------------------------------------------------

_DEPTH: Final = 4
"""Levels of what is encoded within something encoded."""
_PACKED_DEPTH: Final = 2
"""Levels at which something compressed is read. What is in it is read up to one level deeper, and decompresses nothing:
each level could be many times larger than the one around it."""
_LARGER: Final = 20
"""How many times larger than itself the part is that is read of what was compressed."""
_LOOKED_AT: Final = 16
_RUN: Final = re.compile(
    r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}+(?:(?<=[A-Za-z0-9+/]{60})\r?\n[A-Za-z0-9+/]{1,76}+)*+={0,2}"
)
"""What may be base64, also in lines."""
_PIECE: Final = re.compile(r"[A-Za-z0-9_-]{16,}+={0,2}")
_PERCENT: Final = re.compile(r"[^\s\"'<>&;,=%]*+%[0-9A-Fa-f]{2}[^\s\"'<>&;,=]*+")
_HEX: Final = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){16,}+(?![0-9A-Fa-f])")
_URL_SAFE: Final = str.maketrans("-_", "+/", "\r\n\t ")
_ZLIB: Final = (b"\x1f\x8b", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
"""Beginnings of gzip and zlib."""
_ANY_HEAD: Final = 32 + zlib.MAX_WBITS
_IN_BYTES: Final = re.compile(rb"(?<![A-Za-z0-9_-])(?P<name>[A-Za-z][A-Za-z0-9_-]{2,63}+)[\x00-\x1f\x80-\xff]{1,8}+")
_PRINTED: Final = re.compile(rb"[ -~]++")


def from_base64(text: str) -> bytes | None:
    """The bytes of base64, also of its form for URLs, in lines, or cut; None if it is none."""
    plain = text.translate(_URL_SAFE).rstrip("=")
    plain = plain[:-1] if len(plain) % 4 == 1 else plain
    try:
        return base64.b64decode(f"{plain}{'=' * (-len(plain) % 4)}")
    except binascii.Error:
        return None


def base64_in(text: str) -> Iterator[bytes]:
    """The bytes of everything in a text that may be base64."""
    for run in _RUN.finditer(text):
        if (data := from_base64(run[0])) is not None:
            yield data


def as_text(data: bytes) -> str | None:
    """The text of bytes that begin with one; None for others."""
    text = data.decode("utf-8", "replace")
    is_text = "�" not in text[:_LOOKED_AT] and all(one.isprintable() or one in "\r\n\t" for one in text[:_LOOKED_AT])
    return text if is_text else None


def byte_spans(data: bytes, depth: int = 0) -> Spans:
    """The places of credentials in bytes that are no text. Of what is compressed, or in UTF-16, that is all."""
    if _is_packed_secret(data, depth):
        return [(0, len(data))]
    found = spans_of(data.decode("latin-1"), depth)
    for match in _IN_BYTES.finditer(data):  # of formats with lengths in front, as MessagePack
        if is_credential(match["name"].decode()) and (value := _PRINTED.match(data, match.end())) is not None:
            found.append(value.span())
    return joined(found)


def _is_packed_secret(data: bytes, depth: int) -> bool:
    """Whether bytes are compressed or UTF-16, and contain a credential, or more than is read."""
    if data.startswith(_ZLIB) and depth < _PACKED_DEPTH:
        reader = zlib.decompressobj(_ANY_HEAD)
        try:
            plain = reader.decompress(data, min(MIB, _LARGER * len(data)))
        except zlib.error:
            return False
        is_whole = not reader.unconsumed_tail
        return not is_whole or bool(spans_of(plain.decode("utf-8", "replace"), _DEPTH - 1))
    for order, place in (("utf-16-le", 1), ("utf-16-be", 0)):
        if len(data) > 2 * _LOOKED_AT and not any(data[2 + place : 2 * _LOOKED_AT : 2]):
            return bool(spans_of(data.decode(order, "replace"), depth + 1))
    return False


def _decoded(text: str, depth: int) -> Iterator[tuple[int, int]]:
    """The places of what contains a credential in another encoding."""
    for run in _RUN.finditer(text):
        if _contains(from_base64(run[0]), depth):
            yield run.span()
            continue
        for piece in _PIECE.finditer(text, *run.span()):  # of a path, or of a form with + for a space
            if piece.span() != run.span() and _contains(from_base64(piece[0]), depth):
                yield piece.span()
    for run in _HEX.finditer(text):
        if _contains(bytes.fromhex(run[0]), depth):
            yield run.span()
    if "%" in text:
        for run in _PERCENT.finditer(text):
            if spans_of(unquote_plus(run[0]), depth + 1):
                yield run.span()


def _contains(data: bytes | None, depth: int) -> bool:
    """Whether bytes are a text, or compressed, and contain a credential."""
    if data is None:
        return False
    text = as_text(data[: 4 * _LOOKED_AT])
    if text is None:
        return data.startswith(_ZLIB) and _is_packed_secret(data, depth)
    return bool(spans_of(data.decode("utf-8", "replace"), depth + 1))


# ---- all ------------------------------------------------------------------------------------------------------------


def spans_of(text: str, depth: int = 0, *, is_tail: bool = False) -> Spans:
    """The places of credentials in a text, in order and apart.

    Args:
        text: of any kind.
        depth: levels of what is encoded that this one is within.
        is_tail: what preceded the text is not known, so it may begin within a private key.
    """
    found: Spans = []
    if is_tail and "PRIVATE KEY" in text and (rest := _KEY_TAIL.match(text)) is not None:
        found.append(rest.span("pem"))
    for match in _VALUE.finditer(text):
        found += [match.span(name) for name, value in match.groupdict().items() if value]
    if "=" in text or ":" in text or "->" in text:
        found += _fields(text)
    if '"' in text or "'" in text or "&" in text:
        found += _members(text)
        found += [match.span("value") for match in _REVERSED.finditer(text) if is_credential(match["name"])]
    if "<" in text or "&lt;" in text:
        found += _elements(text)
        found += _tags(text)
    if "ame=" in text or "AME=" in text:
        found += _parts(text)
    if " -" in text:
        found += [match.span("value") for match in _FLAG.finditer(text) if is_credential(match["name"])]
    if "/" in text:
        found += [match.span("value") for match in _SEGMENT.finditer(text) if is_credential(match["name"])]
    if depth < _DEPTH and len(text) >= _LOOKED_AT:
        found += _decoded(text, depth)
    return joined(found)


def joined(found: Spans) -> Spans:
    """Places in order and apart."""
    spans: Spans = []
    for begin, end in sorted(found):
        if spans and begin < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        elif end > begin:
            spans.append((begin, end))
    return spans
