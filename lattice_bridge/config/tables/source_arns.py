"""The services whose records the bridge routes: the ARNs that name their sources, and the claims of their records.

Rule: one entry of `SERVICES` is one service. An ARN is compared in full, so each source has one spelling. A fault of
another spelling says which one is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lattice_bridge.config.words import quoted
from lattice_bridge.events.record import CLAIMS, ClaimKind


@dataclass(frozen=True, slots=True)
class Service:
    """A service whose records are routed.

    Attributes:
        source: what is a source of records there, with its article.
        arn: the grammar of its ARN, from the region on. The names are those of the services' API references.
        form: the end of its ARN, as messages write it.
        claims: the kinds of claims that its records have.
        claim: one of them, as it is written.
    """

    source: str
    arn: re.Pattern[str]
    form: str
    claims: tuple[ClaimKind, ...]
    claim: str


_PLACE: Final = "[a-z0-9-]+:[0-9]{12}"

SERVICES: Final[Mapping[str, Service]] = {
    "sqs": Service(
        "an SQS queue",
        re.compile(rf"{_PLACE}:(?:[A-Za-z0-9_-]{{1,80}}|[A-Za-z0-9_-]{{1,75}}\.fifo)"),
        "NAME",
        CLAIMS["sqs"],
        '{ from = "message_group" }',
    ),
    "kinesis": Service(
        "a Kinesis stream",
        re.compile(rf"{_PLACE}:stream/[A-Za-z0-9_.-]{{1,128}}"),
        "stream/NAME",
        CLAIMS["kinesis"],
        '{ from = "partition_key" }',
    ),
    "dynamodb": Service(
        "a DynamoDB table",
        re.compile(rf"{_PLACE}:table/[A-Za-z0-9_.-]{{3,255}}"),
        "table/NAME",
        CLAIMS["dynamodb"],
        '{ from = "key", name = "tenant" }',
    ),
    "events": Service(
        "an event bus",
        re.compile(rf"{_PLACE}:event-bus/[A-Za-z0-9_./-]{{1,256}}"),
        "event-bus/NAME",
        CLAIMS["events"],
        '{ from = "detail", path = ["tenant"] }',
    ),
}
"""The service in an ARN → its sources."""

QUEUE_FORM: Final = "arn:aws:sqs:REGION:ACCOUNT:NAME"
_ARN: Final = re.compile(r"arn:(aws(?:-[a-z]+)*):([a-z0-9-]+):(.*)", re.DOTALL)
_SOURCES: Final = "an SQS queue, a Kinesis stream, a DynamoDB table or an event bus"


def service_in(arn: str) -> str | None:
    """The service of an ARN if it is one of `SERVICES`, also if the rest of the ARN is wrong.

    >>> service_in("arn:aws:kinesis:eu-west-1:111122223333:stream/clicks")
    'kinesis'
    """
    found = _ARN.fullmatch(arn)
    return found[2] if found and found[2] in SERVICES else None


def partition_in(arn: str) -> str | None:
    """The partition of an ARN, also if its end is wrong."""
    found = _ARN.fullmatch(arn)
    return found[1] if found else None


def is_source(arn: str) -> bool:
    """Whether it is the ARN of a queue, stream, table or event bus."""
    found = _ARN.fullmatch(arn)
    return found is not None and found[2] in SERVICES and SERVICES[found[2]].arn.fullmatch(found[3]) is not None


def is_bus(arn: str) -> bool:
    """Whether it is the ARN of an event bus, also if its end is wrong."""
    return service_in(arn) == "events"


def source_fault(key: str, arn: str) -> str | None:
    """The fault of a source's ARN, or None.

    >>> source_fault("arn", "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks")
    >>> stream = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026-01-01T00:00:00.000"
    >>> source_fault("arn", stream).partition("Fix: ")[2]
    'write arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"'
    """
    if is_source(arn):
        return None
    what, fix = next(_meant(key, arn), (None, None))
    if what is not None:
        return f"{key} {quoted(arn)} is {what}. Fix: {fix}"
    service = service_in(arn)
    if service is not None:
        name = SERVICES[service].source
        return f"{key} {quoted(arn)} is not the ARN of {name}. Fix: write it in the form {_form(service)}"
    forms = ", ".join(map(_form, SERVICES))
    return f"{key} {quoted(arn)} is not the ARN of {_SOURCES}. Fix: write it in one of the forms {forms}"


def queue_fault(key: str, arn: str) -> str | None:
    """The fault of an ARN that has to be a queue's, or None.

    >>> queue_fault("arn", "arn:aws:sqs:eu-west-1:111122223333:orders")
    >>> queue_fault("arn", "https://sqs.eu-west-1.amazonaws.com/111122223333/orders").partition("Fix: ")[2]
    'write arn = "arn:aws:sqs:eu-west-1:111122223333:orders"'
    """
    if is_source(arn) and service_in(arn) == "sqs":
        return None
    for what, fix in _of_url(key, arn):
        return f"{key} {quoted(arn)} is {what}. Fix: {fix}"
    return f"{key} {quoted(arn)} is not the ARN of an SQS queue. Fix: write it in the form {QUEUE_FORM}"


def _form(service: str, name: str | None = None) -> str:
    return f"arn:aws:{service}:REGION:ACCOUNT:{name or SERVICES[service].form}"


# ---- what was written instead of a source's ARN ---------------------------------------------------------------------

_QUEUE_URL: Final = re.compile(
    r"https?://sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/([0-9]{12})/([A-Za-z0-9_-]{1,80}(?:\.fifo)?)"
)
_BELOW: Final = re.compile(
    rf"(arn:aws(?:-[a-z]+)*:(?:kinesis:{_PLACE}:stream/[A-Za-z0-9_.-]{{1,128}}"
    rf"|dynamodb:{_PLACE}:table/[A-Za-z0-9_.-]{{3,255}}))/(consumer|stream|index)/.+",
    re.DOTALL,
)
_BELOW_WHAT: Final = {
    "consumer": "the ARN of a stream's consumer, which its records do not contain",
    "stream": "the ARN of a table's stream, which changes if the stream is enabled again",
    "index": "the ARN of a table's index",
}
_RULE: Final = re.compile(
    rf"(arn:aws(?:-[a-z]+)*:events:{_PLACE}:)rule/(?:([A-Za-z0-9_./-]{{1,256}})/)?[A-Za-z0-9_.-]{{1,64}}"
)
_PIPE: Final = re.compile(r"arn:aws(?:-[a-z]+)*:pipes:.*", re.DOTALL)
_RESOURCE: Final = re.compile(r"(stream|table|event-bus)/[A-Za-z0-9_./-]{1,256}")
_SERVICE_OF_RESOURCE: Final = {"stream": "kinesis", "table": "dynamodb", "event-bus": "events"}


def _meant(key: str, text: str) -> Iterator[tuple[str, str]]:
    """What a text is, and what to write instead."""
    yield from _of_url(key, text)
    if below := _BELOW.fullmatch(text):
        yield _BELOW_WHAT[below[2]], f'write {key} = "{below[1]}"'
    if rule := _RULE.fullmatch(text):
        bus = f"{rule[1]}event-bus/{rule[2] or 'default'}"
        yield "the ARN of a rule, which its events do not contain", f'write the ARN of its bus: {key} = "{bus}"'
    if _PIPE.fullmatch(text):
        fix = f'write the ARN of the pipe\'s source as {key}, and pipe = "target" or pipe = "enrichment"'
        yield "the ARN of a pipe, which its records do not contain", fix
    if resource := _RESOURCE.fullmatch(text):
        service = _SERVICE_OF_RESOURCE[resource[1]]
        fix = f"write it in the form {_form(service, text)}"
        yield f"a part of the ARN of {SERVICES[service].source}", fix
    if text == "default":
        yield "the name of an event bus, not its ARN", f"write it in the form {_form('events', 'event-bus/default')}"


def _of_url(key: str, text: str) -> Iterator[tuple[str, str]]:
    if url := _QUEUE_URL.fullmatch(text):
        region, is_chinese, account, name = url.groups()
        partition = "aws-cn" if is_chinese else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        fix = f'write {key} = "arn:{partition}:sqs:{region}:{account}:{name}"'
        yield "the URL of a queue, not its ARN", fix
