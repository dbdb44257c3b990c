"""The neutral values that pass between the steps: Request, Response, Caller.

Rule: no field name of an event or of a reply occurs here. Formats translate at the edge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from lattice_bridge.errors import BadRequest
from lattice_bridge.http.base64 import Base64
from lattice_bridge.http.headers import lower
from lattice_bridge.http.query import Pairs, parse_query
from lattice_bridge.identity.principal import Principal

__all__ = ["X509", "Authorizer", "Caller", "Format", "Pairs", "Request", "Response", "Sender", "is_tenant_id"]

Format = Literal["lattice-v1", "lattice-v2", "apigateway-v1", "apigateway-v2", "alb"]
"""The wire formats of HTTP events that a Lambda function can receive."""

# Lambda's grammar ([a-zA-Z0-9._:/=+\-@ ]{1,256}) without spaces, which the wire strips at the ends, and without leading
# punctuation. Used with fullmatch: `^…$` would accept `blue\n`.
_TENANT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+@-]{0,255}")


def is_tenant_id(text: object) -> bool:
    """Whether `text` may be sent to Lambda as a tenant id: 1 to 256 ASCII characters without spaces.

    >>> is_tenant_id("blue"), is_tenant_id(" blue"), is_tenant_id("blue\\n")
    (True, False, False)
    """
    return isinstance(text, str) and _TENANT_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class X509:
    """The fields that IAM Roles Anywhere read from the caller's certificate. Empty and absent are both None."""

    issuer_ou: str | None = None
    san_dns: str | None = None
    san_name_cn: str | None = None
    san_uri: str | None = None
    subject_cn: str | None = None


class Sender(NamedTuple):
    """The sender of a message, as the queue authenticated it.

    Attributes:
        id: the unique id of a role (`AROA…`) or a user (`AIDA…`), which IAM never gives again; or an account's number.
        session: the name of the role's session. Who chose it depends on how the role was assumed.
    """

    id: str
    session: str | None = None


class BusEvent(NamedTuple):
    """The origin of an event on an event bus.

    Attributes:
        account: in which it was published. EventBridge writes it.
        source: the publisher's own word, unless it begins with `aws.`: no other publisher may write that.
        detail_type: the publisher's own word.
    """

    account: str
    source: str
    detail_type: str


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller, as the platform names it.

    Attributes:
        authenticated: Lattice verified a signature. If False, only `source_vpc_arn` can be set.
        iam: the principal that signed, as one value.
        session_name: the role session's name. Who chose it depends on how the role was assumed.
        org_id: the principal's AWS organisation, `o-…`.
        source_vpc_arn: the VPC that the request came from. A private REST API knows its id only.
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


CLAIMS: Final = "claims"


@dataclass(frozen=True, slots=True)
class Authorizer:
    """What an authorizer of API Gateway verified about the caller. It is never printed: it contains claims.

    Attributes:
        claims: of the token that a JWT or Cognito authorizer verified. A REST API's JWT authorizer keeps types; the
            others write each as a string: a list is `[a b]`, a number `7`. None if another authorizer ran.
        context: the values that a Lambda authorizer returned, by name.
    """

    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Authorizer:
        """An answer in the form of a REST API's event: `claims` beside the values of a Lambda authorizer."""
        claims = values.get(CLAIMS)
        context = {name: value for name, value in values.items() if name != CLAIMS}
        return cls(claims if isinstance(claims, Mapping) else None, context)

    def at(self, path: Sequence[str]) -> object:
        """The value at a path, one element a level; None if there is none. A path that begins with `claims` reads the
        token's claims, any other one what a Lambda authorizer returned.

        >>> Authorizer({"custom:tenant": "blue"}).at(["claims", "custom:tenant"])
        'blue'
        >>> Authorizer(None, {"tenantId": "blue"}).at(["tenantId"])
        'blue'
        """
        value: object = {CLAIMS: self.claims} if path and path[0] == CLAIMS else self.context
        for name in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        return value if path else None


_UNKNOWN: Final = Caller()

_FORMATS: Final[Mapping[tuple[str, int], Format]] = {
    ("lattice", 1): "lattice-v1",
    ("lattice", 2): "lattice-v2",
    ("apigateway", 1): "apigateway-v1",
    ("apigateway", 2): "apigateway-v2",
}


@dataclass(frozen=True, init=False)
class Request:
    """An HTTP request as Lattice, API Gateway or a load balancer received it.

    Attributes:
        version: 1 or 2, the version of the event structure. A load balancer has only one.
        method: as sent.
        path: as sent, percent-encoded, without the query.
        raw_query: the query after the `?`, as sent; empty if there was none.
        headers: `(name, value)` in order; names in lower case. Lattice's V1 and API Gateway's 2.0 join repeated headers
            into one value, which is not split: a comma may be part of the value. `x-amzn-lattice-*` is never here:
            Lattice's own headers are in `caller`, and a client's are dropped.
        content: the body as in the event: text, or base64 that was checked.
        caller: who is calling, as Lattice or API Gateway verified it. A load balancer verifies no caller.
        request_id: the source's id for the request, or None.
        service_arn, service_network_arn, target_group_arn: the Lattice service that the request came through, its
            network, and the function's target group; None in a V1 event, which does not contain them. A load balancer
            has a target group only.
        time_epoch: microseconds since 1970 when the source received the request; None in a V1 event of Lattice and in
            an event of a load balancer.
        event: the event itself, for a backend that receives it unchanged. Must not be changed.
        source: the service that made the event.
        api_id: the id of the API or function URL that the request came through, for API Gateway's formats.
        authorizer: what an authorizer of the API verified; None if none did. IAM's is in `caller`.
        client_cert: the subject of the client's certificate, which API Gateway verified, as it writes it.

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
    caller: Caller = _UNKNOWN
    request_id: str | None = None
    service_arn: str | None = None
    service_network_arn: str | None = None
    target_group_arn: str | None = None
    time_epoch: int | None = None
    event: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    source: Literal["lattice", "apigateway", "alb"] = "lattice"
    api_id: str | None = None
    authorizer: Authorizer | None = None
    client_cert: str | None = None

    # The __init__ of a frozen dataclass calls `object.__setattr__` for each field. With 17 of them, that takes twice as
    # long, in each request.
    def __init__(
        self,
        version: Literal[1, 2],
        method: str,
        path: str,
        raw_query: str = "",
        headers: Pairs = (),
        content: str | Base64 = "",
        caller: Caller = _UNKNOWN,
        request_id: str | None = None,
        service_arn: str | None = None,
        service_network_arn: str | None = None,
        target_group_arn: str | None = None,
        time_epoch: int | None = None,
        event: Mapping[str, Any] | None = None,
        source: Literal["lattice", "apigateway", "alb"] = "lattice",
        api_id: str | None = None,
        authorizer: Authorizer | None = None,
        client_cert: str | None = None,
    ) -> None:
        self.__dict__.update(
            version=version,
            method=method,
            path=path,
            raw_query=raw_query,
            headers=(pairs := tuple(headers)),  # a list could change, and the names below would be others
            content=content,
            caller=caller,
            request_id=request_id,
            service_arn=service_arn,
            service_network_arn=service_network_arn,
            target_group_arn=target_group_arn,
            time_epoch=time_epoch,
            event={} if event is None else event,
            source=source,
            api_id=api_id,
            authorizer=authorizer,
            client_cert=client_cert,
            _header_names=next(zip(*pairs, strict=True), ()),
        )

    @property
    def header_names(self) -> tuple[str, ...]:
        """The names in `headers`, in order."""
        found: tuple[str, ...] = self.__dict__["_header_names"]
        return found

    @property
    def format(self) -> Format:
        """The format of the event that the request came in."""
        return "alb" if self.source == "alb" else _FORMATS[self.source, self.version]

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
        """The body as a JSON string: text, or base64."""
        return self.content.text if isinstance(self.content, Base64) else self.content

    @property
    def body(self) -> bytes:
        """The bytes that the client sent; empty if there was no body. Decoded on each access.

        A lone surrogate cannot come from bytes that Lattice decoded. A hand-made event may contain one all the same.
        """
        if isinstance(self.content, Base64):
            return self.content.decoded()
        return self.content.encode("utf-8", "surrogatepass")

    @property
    def query_all(self) -> Pairs:
        """The decoded query, in order, with every value of a repeated name."""
        return parse_query(self.raw_query)

    @property
    def query(self) -> dict[str, str]:
        """The decoded query with one value for each name: the last one, as AWS documents it."""
        return dict(self.query_all)

    def header(self, name: str) -> str | None:
        """The value of a header that may occur once, or None.

        Raises:
            BadRequest: it occurs twice. If the first or the last were taken, the client would choose which one counts.
        """
        wanted, known = lower(name), self.header_names
        if wanted not in known:
            return None
        if (times := known.count(wanted)) > 1:
            raise BadRequest("header_repeated", f"header {wanted} occurs {times} times")
        return self.headers[known.index(wanted)][1]


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
