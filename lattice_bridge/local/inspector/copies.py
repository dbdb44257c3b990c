"""An entry as something to paste: a command of curl, an event, a `[[test]]` of a map, and a fixture.

Rule: a copy is masked as the page is. A command quotes each value for the shell. It contains a secret only if every
reader of the map can compute it: that of an identity that a rule names.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.config.regular_file import MIB
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.exchange.identities import SESSION, SESSION_PREFIX, Identity
from lattice_bridge.local.front.exchange.recorder import expected, file_name
from lattice_bridge.local.front.exchange.rule_identities import PREFIX
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn
from lattice_bridge.local.inspector.map_test import table_of
from lattice_bridge.local.web.admission import Refused, quoted
from lattice_bridge.local.web.sigv4 import SERVICE, UNSIGNED

FORMS: Final = ("curl", "event", "test", "fixture")
OF_SIGNATURE: Final = frozenset({"x-amz-date", "x-amz-content-sha256", "x-amz-security-token"})
"""The headers of a signature beside `authorization`."""
OF_CONNECTION: Final = frozenset(
    {
        *("connection", "content-length", "expect", "http2-settings", "keep-alive", "proxy-connection", "te"),
        *("trailer", "transfer-encoding", "upgrade"),
    }
)
"""The headers that describe one connection or its framing. Every client writes its own."""

MAX_MASKED: Final = MIB
"""Bytes of a content that a click masks: that takes seconds. The page shows less of it."""

_OF_CURL: Final = frozenset({"user-agent", "accept-encoding"})
_PLACEHOLDER: Final = "SECRET"


@dataclass(frozen=True, slots=True)
class Signing:
    """How a request is signed.

    Attributes:
        identity: that signs.
        service: for which, as in `execute-api`.
        region: for which.
        session: of `x-amz-security-token: session=NAME`; None for the identity's own.
    """

    identity: Identity
    service: str
    region: str
    session: str | None = None

    @property
    def user(self) -> str:
        """`KEY:SECRET`, with a placeholder for a secret that a file contains."""
        key, secret = self.identity.access_key, self.identity.secret_key
        is_public = key.startswith(PREFIX) and secret == (key.removeprefix(PREFIX).lower() or SESSION)
        return f"{key}:{secret if is_public else _PLACEHOLDER}"


def copied(entry: Entry, form: str, front: str, signing: Signing | None = None) -> dict[str, Any]:
    """An entry in one of the forms: its `text`, and the `name` of a file for it. A fixture has a second file, `also`.

    Args:
        entry: that is copied.
        form: one of FORMS.
        front: the URL of the front, for the command.
        signing: of the command; None for a request that is not signed.

    Raises:
        Refused: 400, there is no such form; 409, the entry cannot be copied so.
    """
    if form not in FORMS:
        raise Refused(400, f"as: {quoted(form)} is no form of a copy. Fix: write one of {', '.join(FORMS)}")
    content = entry.content
    if content is None:
        raise Refused(409, f"entry {entry.n}: its content is no longer kept. Fix: send it again")
    name = _name(entry)
    if form == "curl":
        return {"text": _curl(entry, content, front, signing), "name": f"{name}.sh"}
    if form == "test":
        return {"text": table_of(entry, content), "name": f"{name}.toml"}
    event = content.built_event
    if event is None:
        raise Refused(409, f"entry {entry.n}: {_without_event(content)}")
    found: dict[str, Any] = {"text": _masked(event), "name": f"{name}.json"}
    if form == "fixture":
        found["also"] = {"text": _expected(entry, content), "name": f"{name}.expected.json"}
    return found


def _name(entry: Entry) -> str:
    """As `local --record` names a file."""
    about = f"{entry.method} {entry.path}" if entry.method else f"{entry.way} {entry.source}"
    return file_name(entry.n, mask.masked_line(about))


def _masked(content: bytes) -> str:
    """JSON as it is, without credentials.

    Raises:
        Refused: 409, it is too large.
    """
    _check_size(content)
    return f"{mask.body(content, len(content))['text']}\n"


def _check_size(content: bytes) -> None:
    if len(content) > MAX_MASKED:
        raise Refused(
            409, f"copy: over {MAX_MASKED // MIB} MiB. Fix: record it with `lattice-bridge local --record DIR`"
        )


def _without_event(content: Content) -> str:
    if content.came_in is None:
        return "a log line does not contain the request, so there is nothing to copy. Fix: record it with --record"
    return "it was refused before there was an event. Fix: copy it as curl"


def _expected(entry: Entry, content: Content) -> str:
    """What the function has answered, as `local --record` writes it."""
    first = content.invocations[0] if content.invocations else None
    about = f"{entry.method} {entry.path}" if entry.method else f"{entry.way} {entry.path}"
    result = None
    if first is not None and first.answer is not None:
        result = InvocationResult(_masked(first.answer).encode(), first.error)
    return expected(mask.masked_line(about), entry.at, result).decode()


# ---- curl -----------------------------------------------------------------------------------------------------------


def _curl(entry: Entry, content: Content, front: str, signing: Signing | None) -> str:
    if content.came_in is None and content.built_event is None:
        raise Refused(409, f"entry {entry.n}: {_without_event(content)}")
    if not isinstance(content.came_in, HttpIn):
        raise Refused(409, "curl: the entry did not come over HTTP. Fix: copy it as event")
    request = content.came_in.request
    target = mask.masked_target(request.target)
    words = ["curl"]
    if signing is not None:
        words += ["--aws-sigv4", shell(f"aws:amz:{signing.region}:{signing.service}"), "--user", shell(signing.user)]
        if signing.service == SERVICE:
            words += ["-H", shell(f"x-amz-content-sha256: {UNSIGNED}")]
        if signing.session is not None:
            words += ["-H", shell(f"x-amz-security-token: {SESSION_PREFIX}{signing.session}")]
    if request.method != ("POST" if request.body else "GET"):
        words += ["--head"] if request.method == "HEAD" else ["-X", shell(request.method)]
    for name, value, _ in mask.masked_headers(_headers(request, front, is_signed=signing is not None)):
        words += ["-H", shell(f"{request.spelled.get(name, name)}{f': {value}' if value else ';'}")]
    if request.body:
        words += ["--data-raw", _body(request.body)]  # the other options of curl read a file after @
    words += ["-g"] if set("[]{}") & set(target) else []  # without it, curl reads them as a pattern
    words += ["--path-as-is"] if "/." in target else []  # without it, curl removes them from the path
    if not target.startswith("/"):  # the * of OPTIONS
        words += ["--request-target", shell(target)]
    path = target if target.startswith("/") else "/"
    return f"{' '.join([*words, shell(f'{front}{path}')])}\n"


def _headers(request: HttpRequest, front: str, *, is_signed: bool) -> list[tuple[str, str]]:
    """The headers that curl does not write itself. `content-type` stays: curl would write one of a form."""
    left_out = OF_CONNECTION | _OF_CURL | (OF_SIGNATURE | {"authorization"} if is_signed else frozenset())
    own = {("host", front.removeprefix("http://")), ("accept", "*/*")}
    return [pair for pair in request.headers if pair[0] not in left_out and pair not in own]


def _body(body: bytes) -> str:
    """A body as a word. One that is no text is a string of bash with escapes."""
    _check_size(body)
    found = mask.body(body, len(body))
    if found["kind"] == "hex":
        if b"\0" in body or found["masked"]:
            raise Refused(409, "curl: the body is binary. Fix: replay it here, or copy it as event")
        return _ansi(body)
    text = found["text"] if found["masked"] else body.decode()
    return shell(text)


def shell(text: str) -> str:
    r"""A word of a shell. Control characters are escapes of bash and zsh: a terminal would act on them,
    and a shell completes a word at a tab.

    >>> print(shell("it's $(date)"), shell("\x1b[2J\t"))
    'it'"'"'s $(date)' $'\x1b[2J\x09'
    """
    if all(one.isprintable() or one == "\n" for one in text):
        return shlex.quote(text)
    return _ansi(text.encode("utf-8", "surrogateescape"))


def _ansi(data: bytes) -> str:
    plain = {*range(0x20, 0x7F)} - {*b"'\\"}
    text = "".join(chr(byte) if byte in plain else rf"\x{byte:02x}" for byte in data)
    return f"$'{text}'"
