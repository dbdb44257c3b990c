"""The subject of a decision: who is calling, what vouches for the caller, and which tenant the caller asks for.

Rule: a decision reads a Subject and nothing else. Evidence comes from the platform and from verified tokens. The
requested tenant is the caller's own word: it grants nothing, and only chooses among tenants that the evidence allows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from lattice_bridge.errors import BadRequest
from lattice_bridge.http import headers as names
from lattice_bridge.http.memory import Memory
from lattice_bridge.identity.token import NO_TOKENS, Tokens
from lattice_bridge.message import Authorizer, BusEvent, Caller, Request, Sender

ANONYMOUS: Final = Caller()


BatchEvidence = tuple[str, Sender | None]
"""The ARN of a source, and the sender that it authenticated."""

RequestEvidence = tuple[Caller, bool, str | None, str | None, str | None]
"""A caller, whether it presents a credential that was not verified, and the service, the network and the API that its
request came through."""


class Subject(NamedTuple):
    """Everything that a decision may read.

    It is a tuple, because one is made for each record: a frozen dataclass of twelve fields takes five times as long.

    Attributes:
        caller: evidence of the platform: the principal, its session, organisation and certificate, and the source VPC.
        tokens: evidence of token issuers: verified claims by the issuer's name in the map.
        requested_tenant: the tenant id that the caller, or a record's claim, asks for, not decoded and not trimmed;
            None if it asks for none.
        service_arn, service_network_arn: the Lattice service and network that the request came through; None if the
            event does not contain them.
        authorizer: evidence of API Gateway: what an authorizer of the API `api_id` verified; None if none did.
        client_cert: evidence of API Gateway: the subject of the client's certificate.
        api_id: the API that the request came through; None if it did not come through one.
        has_unverified_credential: the caller presents a credential that the platform did not verify. Such a caller is
            not a caller without a credential, so a rule with `anyone` does not apply.
        source: evidence of a record: the ARN of the queue, stream, table or bus that it came from; None for an HTTP
            request.
        sender: evidence of a record: who sent it, as the queue authenticated the sender.
        bus_event: of an event of a bus: its account, which is evidence, and what its publisher says of it.
    """

    caller: Caller = ANONYMOUS
    tokens: Tokens = NO_TOKENS
    requested_tenant: str | None = None
    service_arn: str | None = None
    service_network_arn: str | None = None
    has_unverified_credential: bool = False
    authorizer: Authorizer | None = None
    client_cert: str | None = None
    api_id: str | None = None
    source: str | None = None
    sender: Sender | None = None
    bus_event: BusEvent | None = None

    @property
    def batch_evidence(self) -> BatchEvidence | None:
        """All that vouches for a record of a batch: its source, and the sender that this source authenticated. None for
        a subject with anything else that a rule may read. The router decides thousands of records a second."""
        if self.caller is not ANONYMOUS or self.tokens or self[3:9] != _NOTHING or self.bus_event is not None:
            return None
        return None if self.source is None else (self.source, self.sender)

    @property
    def request_evidence(self) -> RequestEvidence | None:
        """All that vouches for a request whose caller the platform names, and nothing else does. None for a subject
        with a token, an authorizer's answer or a certificate, whose claims a rule may read, and for a record."""
        if self.has_other_evidence or self.sender is not None or self.bus_event is not None:
            return None
        unverified = self.has_unverified_credential
        return (self.caller, unverified, self.service_arn, self.service_network_arn, self.api_id)

    @property
    def has_other_evidence(self) -> bool:
        """Whether something but the platform's own check of a signature vouches for the caller."""
        return (
            bool(self.tokens) or self.authorizer is not None or self.client_cert is not None or self.source is not None
        )


_NOTHING: Final = Subject()[3:9]
"""From `service_arn` to `api_id`, of a subject that came by no request."""


def subject_of(request: Request, tokens: Tokens, tenant_header: str, token_headers: frozenset[str]) -> Subject:
    """Makes the subject of an HTTP request.

    Args:
        request: a parsed request.
        tokens: its tokens, verified.
        tenant_header: the name of the header that contains the requested tenant, in lower case.
        token_headers: the names of the headers that contain tokens, in lower case.

    Raises:
        BadRequest: `reserved_spelling` if a header's name can be read as a reserved name; `header_repeated` if the
            tenant header occurs twice, even with one value.
    """
    _refuse_reserved_spellings(request, tenant_header, token_headers)
    return evidence_of(request, tokens, request.header(tenant_header))


SPELLED_WELL: Final = Memory[tuple[str, frozenset[str], tuple[str, ...]], bool](
    entries=256, characters=names.REMEMBERED_NAMES
)
"""The names of the headers of a request that had no reserved spelling, behind the configuration's names."""


def _refuse_reserved_spellings(request: Request, tenant_header: str, token_headers: frozenset[str]) -> None:
    given = request.header_names
    if (tenant_header, token_headers, given) in SPELLED_WELL:
        return
    reserved = _reserved(tenant_header, token_headers)
    for name in given:
        folded = names.fold(name)
        if folded != name and (folded in reserved or folded.startswith(names.LATTICE_PREFIX)):
            raise BadRequest("reserved_spelling", f"header {name[:64]} can be read as {folded[:64]}")
    SPELLED_WELL.keep((tenant_header, token_headers, given), True, sum(map(len, given)))


def evidence_of(request: Request, tokens: Tokens, requested_tenant: str | None = None) -> Subject:
    """Makes a subject without reading the request's headers for a tenant. `explain` shows it for a refused request."""
    return Subject(
        request.caller,
        tokens,
        requested_tenant,
        request.service_arn,
        request.service_network_arn,
        not request.caller.authenticated and _is_signed(request),
        request.authorizer,
        request.client_cert,
        request.api_id,
    )


@lru_cache(16)
def _reserved(tenant_header: str, token_headers: frozenset[str]) -> frozenset[str]:
    return names.TENANT_NAMES | token_headers | {tenant_header, names.HOPS}


def _is_signed(request: Request) -> bool:
    """Whether the request has an AWS signature, in a header or in the query of a presigned URL."""
    in_query = names.may_be_presigned(request.raw_query) and any(
        names.lower(name) == "x-amz-signature" for name, _ in request.query_all
    )
    sent = [value for name, value in request.headers if name == "authorization"]
    return in_query or any("aws4-" in names.lower(value) for value in sent)
