"""The neutral values that pass between the steps: Request, Response, Caller.

Rule: nothing here knows which event version it came from, nor which reply format it will become.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

from lattice_bridge.errors import BadRequest
from lattice_bridge.http.base64 import Base64
from lattice_bridge.http.headers import lower
from lattice_bridge.identity.principal import Principal

Pairs = tuple[tuple[str, str], ...]

# Lambda's grammar ([a-zA-Z0-9._:/=+\-@ ]{1,256}) without blanks, which the wire strips at the ends, and without a
# leading punctuation mark. Used with fullmatch: `^…$` would let `blue\n` through.
_TENANT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+@-]{0,255}")


def is_tenant_id(text: object) -> bool:
    """Whether `text` may be sent to Lambda as a tenant id: 1 to 256 ASCII characters, no blanks."""
    return isinstance(text, str) and _TENANT_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class X509:
    """What IAM Roles Anywhere read from the caller's certificate. Empty and absent are both None."""

    issuer_ou: str | None = None
    san_dns: str | None = None
    san_name_cn: str | None = None
    san_uri: str | None = None
    subject_cn: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who Lattice says is calling.

    Attributes:
        authenticated: Lattice verified a signature. If False, only `source_vpc_arn` can be set.
        iam: the principal that signed, as one value.
        session_name: the role session's name. Who chose it depends on how the role was assumed.
        org_id: the principal's AWS organisation, `o-…`.
        source_vpc_arn: the VPC the request came from.
        x509: certificate fields, with IAM Roles Anywhere.

    >>> from lattice_bridge import parse_event
    >>> from lattice_bridge.testing import lattice_event
    >>> signed = lattice_event(principal="arn:aws:iam::111122223333:role/blue-api", session_name="i-0123")
    >>> parse_event(signed).caller.principal
    'arn:aws:sts::111122223333:assumed-role/blue-api/i-0123'
    >>> parse_event(lattice_event()).caller.authenticated
    False
    """

    authenticated: bool = False
    iam: Principal | None = None
    session_name: str | None = None
    org_id: str | None = None
    source_vpc_arn: str | None = None
    x509: X509 | None = None

    @property
    def principal(self) -> str | None:
        """The principal's ARN in one spelling: an assumed role is always `arn:…:sts::…`, without the role's path."""
        return None if self.iam is None else str(self.iam)


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as Lattice received it.

    Attributes:
        version: 1 or 2, the event structure it arrived in.
        method: as sent.
        path: as sent, percent-encoded, without the query.
        raw_query: what followed the `?`, as sent; empty when there was none.
        headers: `(name, value)` in order; names in lower case. A V1 event joins repeated headers into one value, which
            is not split: a comma may be part of the value. `x-amzn-lattice-*` is not here but in `caller`.
        content: the body as the event has it: text, or base64 that was checked.
        caller: who Lattice says is calling.
        request_id: Lattice's id for the request, or None.
        service_arn, service_network_arn, target_group_arn: the Lattice service it came through, its network, and the
            group the function is in; None in a V1 event, which does not say.
        time_epoch: microseconds since 1970 when Lattice took it; None in a V1 event.
        event: the event itself, for a backend that is to receive it unchanged. Not to be written to.

    >>> request = Request(version=2, method="GET", path="/", raw_query="id=7&id=8", headers=(("accept", "text/html"),))
    >>> request.query_all
    (('id', '7'), ('id', '8'))
    >>> request.header("Accept")
    'text/html'
    """

    version: Literal[1, 2]
    method: str
    path: str
    raw_query: str = ""
    headers: Pairs = ()
    content: str | Base64 = ""
    caller: Caller = field(default_factory=Caller)
    request_id: str | None = None
    service_arn: str | None = None
    service_network_arn: str | None = None
    target_group_arn: str | None = None
    time_epoch: int | None = None
    event: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def target(self) -> str:
        """Path and query, as sent."""
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    @property
    def is_base64(self) -> bool:
        """Whether `text` is base64."""
        return isinstance(self.content, Base64)

    @property
    def text(self) -> str:
        """The body as JSON can say it: text, or base64."""
        return self.content.text if isinstance(self.content, Base64) else self.content

    @property
    def body(self) -> bytes:
        """The bytes the client sent; empty when there was no body. Decoded anew each time it is asked for.

        A lone surrogate cannot come from bytes that Lattice decoded, but must not break a hand-made event either.
        """
        if isinstance(self.content, Base64):
            return self.content.decoded()
        return self.content.encode("utf-8", "surrogatepass")

    @property
    def query_all(self) -> Pairs:
        """The decoded query, in order, with every repetition."""
        return parse_query(self.raw_query)

    @property
    def query(self) -> dict[str, str]:
        """The decoded query with one value a name: the last one, as AWS documents it."""
        return dict(self.query_all)

    def header(self, name: str) -> str | None:
        """The value of a header that may occur once, or None.

        Raises:
            BadRequest: it occurred twice. Taking the first or the last would let a client choose what we see.
        """
        wanted = lower(name)
        values = [value for key, value in self.headers if key == wanted]
        if len(values) > 1:
            raise BadRequest("header_repeated", f"header {wanted} occurs {len(values)} times")
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response as the backend meant it.

    Attributes:
        status: 200 to 599.
        headers: `(name, value)` in order; names in lower case, repeated names allowed.
        content: the body: bytes, or base64 that was checked.

    >>> Response(status=200, content=b"hello").body
    b'hello'
    """

    status: int
    headers: Pairs = ()
    content: bytes | Base64 = b""

    @property
    def body(self) -> bytes:
        """The bytes for the client."""
        return self.content.decoded() if isinstance(self.content, Base64) else self.content


def parse_query(raw: str) -> Pairs:
    """Decoded `(name, value)` pairs of a raw query string, in order.

    A `+` stays a `+`: Lattice passes it on as sent, and only HTML forms mean a blank by it. An escape that is not
    two hex digits, and a name or value whose bytes are not UTF-8, stay as sent. Empty parts (`a=1&&b=2`) are skipped.
    """
    return tuple((_decoded(name, "+"), _decoded(value, "+")) for name, value in split_query(raw))


def parse_form_query(raw: str) -> Pairs:
    """The same as an HTML form has it: `+` is a blank. So API Gateway decodes queries (captured in aws-cdk #19827)."""
    return tuple((_decoded(name, " "), _decoded(value, " ")) for name, value in split_query(raw))


def split_query(raw: str) -> Pairs:
    """`(name, value)` pairs of a raw query string, in order, still encoded."""
    parts = (part.partition("=") for part in raw.split("&") if part)
    return tuple((name, value) for name, _, value in parts)


def _decoded(text: str, plus: str) -> str:
    if "%" not in text:
        return text.replace("+", plus)
    try:
        return unquote_to_bytes(text.replace("+", plus)).decode("utf-8")
    except UnicodeError:  # bytes that are not UTF-8, or a lone surrogate in a hand-made event
        return text
