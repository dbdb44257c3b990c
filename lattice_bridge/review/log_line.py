"""Log lines of the bridge: found in a file, and read for their caller. A line is about a request, or about a record.

Rule: a line is found in whatever form it was exported, and no part of it is trusted. What a line lacks is said, and
never guessed. `telemetry.caller_key` writes the callers that are read here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

MOST_LEVELS: Final = 8
"""Levels of JSON around a line, those of JSON inside JSON included."""

_OBJECT: Final = re.compile(r"\{[^{]")
_PRINCIPAL: Final = re.compile(
    r"(?:(?P<partition>aws(?:-[a-z]{1,16}){0,4}):)?(?P<account>[0-9]{12})"
    r"(?:/(?P<role>[\w+=,.@-]{1,64})|:(?P<kind>root|federated-user)|:user/(?P<user>[\w+=,.@-]{1,64}))",
    re.ASCII,
)
_API: Final = re.compile(r"api:(?P<api>[a-z0-9]{1,64})")
_CERTIFICATE: Final = re.compile(r"cert#[0-9a-f]{16}")
_TOKEN: Final = re.compile(r"jwt:(?P<issuer>[A-Za-z0-9][A-Za-z0-9_-]{0,63})(?:#[0-9a-f]{16}|/(?P<subject>.*))?")

NOT_LOGGED: Final = {
    "session": "--session",
    "header": "--header",
    "vpc": "--vpc",
    "org": "--org",
    "service": "--service",
    "network": "--network",
    "x509_san_uri": "--x509-san-uri",
    "claim": "--claims",
    "authorizer": "--authorizer",
    "client_cert": "--client-cert",
}
"""Facts that a request's line lacks → the option of `explain` that adds them."""
NOT_LOGGED_OF_RECORDS: Final = {
    "sender": "--sender",
    "event_account": "--event-account",
    "bus_source": "--bus-source",
    "detail_type": "--detail-type",
    "record_claim": "--claim",
}
"""Facts that a record's line lacks → the option of `explain` that adds them."""

OF_DECISIONS: Final = frozenset(
    {
        *("malformed_event", "claim_missing", "claim_unreadable", "tenant_malformed", "no_rule", "no_credential"),
        *("denied", "condition_failed", "source_mismatch", "conflict", "ambiguous", "tenant_not_allowed"),
        *("tenant_unknown", "tenant_suspended"),
    }
)
"""The reasons of a record's line that depend on its evidence and its claim."""


class LogLine(NamedTuple):
    """The log line of a request, or of a record of a queue.

    Attributes:
        fields: as the bridge wrote them.
    """

    fields: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """A field that is a string, or None."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else None

    @property
    def is_of_record(self) -> bool:
        return self.fields.get("message") == "record"

    @property
    def id(self) -> str | None:
        """The id of the request, or of the message: the records of a batch have the id of one request."""
        return self.text("id" if self.is_of_record else "requestId")

    @property
    def is_refused(self) -> bool:
        return self.fields.get("reason") not in (None, "ok")


class LoggedCaller(NamedTuple):
    """The caller in a line, in the form of the options of `explain`.

    Attributes:
        principal: an ARN; None if there is none, or if a part of it was not logged.
        claims: the claims that were logged, by the issuer's name.
        has_session: whether the principal contains its session.
        has_authorizer, has_certificate: whether the line names an API whose authorizer answered, and a certificate.
        is_whole: False if the line names a principal whose ARN cannot be made of it.
    """

    principal: str | None
    claims: Mapping[str, Mapping[str, Any]]
    has_session: bool
    is_whole: bool
    has_authorizer: bool = False
    has_certificate: bool = False


NO_CALLER: Final = LoggedCaller(None, {}, has_session=False, is_whole=True)


# ---- lines in a file ------------------------------------------------------------------------------------------------


def request_lines(text: str) -> Iterator[LogLine]:
    """The requests and records in a log: lines as the bridge wrote them, as the local stack prints them with
    `--json-logs`, as the AWS CLI and the console of CloudWatch export them (JSON or CSV), and as subscriptions deliver
    them.

    >>> line = '{"message":"request","requestId":"r-1","status":403}'
    >>> [found.fields["requestId"] for found in request_lines(f"2026-11-21T09:00:00Z {line}")]
    ['r-1']
    """
    if text.lstrip()[:1] in ("{", "["):
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            pass  # several documents, one a line
        else:
            yield from _within(whole, MOST_LEVELS)
            return
    for line in text.split("\n"):
        if "requestId" in line:
            yield from _in_line(line)


def _in_line(line: str) -> Iterator[LogLine]:
    """The requests in one line, which may have other columns in front: a time, the name of a stream."""
    for candidate in (line, line.replace('""', '"')):  # CSV doubles the quotes
        if (start := _OBJECT.search(candidate)) is None:
            return
        try:
            found, _ = json.JSONDecoder().raw_decode(candidate, start.start())
        except (ValueError, RecursionError):
            continue
        yield from _within(found, MOST_LEVELS)
        return


def _within(value: object, levels: int) -> Iterator[LogLine]:
    if levels == 0:
        return
    if isinstance(value, str):
        if "requestId" in value and value.lstrip().startswith("{"):
            try:
                yield from _within(json.loads(value), levels - 1)
            except (ValueError, RecursionError):
                return
    elif isinstance(value, dict):
        if value.get("message") in ("request", "record") and "requestId" in value:
            yield LogLine(value)
            return
        for below in value.values():
            yield from _within(below, levels - 1)
    elif isinstance(value, list):
        for below in value:
            yield from _within(below, levels - 1)


# ---- the caller -----------------------------------------------------------------------------------------------------


def caller_in(key: str) -> LoggedCaller | None:
    """The caller that a `callerKey` names; None if it is not one, as when it was cut.

    >>> caller_in("111122223333/blue-api").principal
    'arn:aws:iam::111122223333:role/blue-api'
    """
    principal: str | None = None
    is_whole, claims = True, dict[str, dict[str, Any]]()
    has_authorizer = has_certificate = False
    for part in key.split(" "):
        if match := _TOKEN.fullmatch(part):
            subject = match["subject"]
            claims[match["issuer"]] = {} if subject is None else {"sub": unquote(subject)}
        elif _API.fullmatch(part):
            has_authorizer = True
        elif _CERTIFICATE.fullmatch(part):
            has_certificate = True
        elif part.startswith("arn:") and principal is None:
            principal = part
        elif (match := _PRINCIPAL.fullmatch(part)) and principal is None:
            principal = _arn(match)
            is_whole = principal is not None
        else:
            return None
    has_session = ":assumed-role/" in (principal or "")
    return LoggedCaller(principal, claims, has_session, is_whole, has_authorizer, has_certificate)


def _arn(match: re.Match[str]) -> str | None:
    """The ARN; None for a federated user, whose name is not logged."""
    if match["kind"] == "federated-user":
        return None
    resource = f"role/{match['role']}" if match["role"] else f"user/{match['user']}" if match["user"] else "root"
    return f"arn:{match['partition'] or 'aws'}:iam::{match['account']}:{resource}"
