"""`lattice-bridge event new --source`: makes an event with a record, or an event of a bus.

Rule: an option that has no effect is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

import click

Document = dict[str, Any]
_Command = TypeVar("_Command", bound=Callable[..., Any])

SOURCES: Final = ("sqs", "kinesis", "dynamodb", "eventbridge")

_OPTIONS: Final = (
    click.option("--queue", metavar="NAME|ARN", help="The queue; FIFO if its name ends in .fifo."),
    click.option("--sender", metavar="ID[:SESSION]", help="The sender of the message, as SQS writes it."),
    click.option("--group", metavar="ID", help="The message's group."),
    click.option(
        "--attribute", metavar="NAME=VALUE", multiple=True, help="A message attribute of type String. Repeatable."
    ),
    click.option("--message-id", metavar="ID", help="The message's id."),
    click.option("--stream", metavar="NAME|ARN", help="The Kinesis stream."),
    click.option("--partition-key", metavar="KEY", help="The record's partition key."),
    click.option("--table", metavar="NAME|ARN", help="The DynamoDB table."),
    click.option("--keys", metavar="JSON", help="""The item's keys, as in '{"tenant": "blue", "id": 7}'."""),
    click.option("--new-image", metavar="JSON", help="The item's other attributes after the change."),
    click.option("--old-image", metavar="JSON", help="The item's other attributes before the change."),
    click.option("--sequence-number", metavar="DIGITS", help="The record's id, in a stream."),
    click.option("--event-account", metavar="NUMBER", help="The account in which the event was published."),
    click.option("--bus-source", metavar="NAME", help="The event's `source`, as in shop.orders or aws.s3."),
    click.option("--detail-type", metavar="NAME", help="The event's `detail-type`."),
    click.option("--event-id", metavar="ID", help="The event's id."),
    click.option("--pipe", is_flag=True, help="Make the list that EventBridge Pipes sends."),
)


def record_options(command: _Command) -> _Command:
    """Adds the options of records."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class _Source(NamedTuple):
    """What `--source` can be.

    Attributes:
        makes: in words.
        arguments: the options that it takes → the builder's arguments.
    """

    makes: str
    arguments: Mapping[str, str]


_SOURCES: Final[Mapping[str, _Source]] = {
    "sqs": _Source(
        "a message",
        {
            "queue": "queue",
            "sender": "sender",
            "group": "group",
            "attribute": "attributes",
            "message_id": "message_id",
            "time": "sent",
            "body": "body",
            "json_body": "body",
            "pipe": "pipe",
        },
    ),
    "kinesis": _Source(
        "a record of a stream",
        {
            "stream": "stream",
            "partition_key": "partition_key",
            "sequence_number": "sequence_number",
            "time": "arrived",
            "body": "data",
            "json_body": "data",
            "pipe": "pipe",
        },
    ),
    "dynamodb": _Source(
        "a change of a table",
        {
            "table": "table",
            "keys": "keys",
            "new_image": "new",
            "old_image": "old",
            "sequence_number": "sequence_number",
            "time": "created",
            "pipe": "pipe",
        },
    ),
    "eventbridge": _Source(
        "an event of a bus",
        {
            "bus_source": "source",
            "detail_type": "detail_type",
            "event_account": "account",
            "event_id": "event_id",
            "region": "region",
            "time": "time",
            "json_body": "detail",
        },
    ),
}
_OF_REQUESTS: Final = frozenset({"time", "body", "json_body", "region"})
"""Options of requests that some sources take as well."""


def sources_of(option: str) -> list[str]:
    """The sources that take an option that no request has; none for another one."""
    if option in _OF_REQUESTS:
        return []
    return [name for name, source in _SOURCES.items() if option in source.arguments]


def flag(option: str) -> str:
    return "--header" if option == "headers" else f"--{option.replace('_', '-')}"


def new_record(source: str, given: Document, content: bytes | None) -> Document | list[Document]:
    """The event of `--source`.

    Args:
        source: one of `SOURCES`.
        given: the options that were written, by their names, with `time` as a builder takes it.
        content: of `--body` or `--json-body`; None without one.
    """
    _check(source, given)
    arguments = _SOURCES[source].arguments
    parsed = {name: value for name, value in given.items() if name not in ("pipe", "body", "json_body")}
    for name in ("keys", "new_image", "old_image"):
        if name in parsed:
            parsed[name] = _object(flag(name), parsed[name])
    try:
        event = _MAKERS[source]({arguments[name]: value for name, value in parsed.items()}, content)
    except ValueError as error:
        raise click.UsageError(_in_flags(str(error), source, given)) from error
    if not given.get("pipe"):
        return event
    from lattice_bridge.testing.bus_events import pipe_event

    return pipe_event(event)


def _check(source: str, given: Document) -> None:
    """Refuses an option that the source does not take."""
    wrong = next((name for name in given if name not in _SOURCES[source].arguments), None)
    if wrong is None:
        return
    owners = sources_of(wrong)
    what = f"for --source {' or '.join(owners)}" if owners else "for a request"
    raise click.UsageError(
        f"{flag(wrong)} is {what}, and --source {source} makes {_SOURCES[source].makes}. Fix: leave it out"
    )


def _sqs(arguments: Document, content: bytes | None) -> Document:
    from lattice_bridge.testing.queue_events import sqs_event

    try:
        body = "{}" if content is None else content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"--body: not UTF-8 at byte {error.start}, and SQS takes text. Fix: send base64"
        ) from error
    return sqs_event(body, **arguments)


def _kinesis(arguments: Document, content: bytes | None) -> Document:
    from lattice_bridge.testing.stream_events import kinesis_event

    return kinesis_event(b"{}" if content is None else content, **arguments)


def _dynamodb(arguments: Document, _content: bytes | None) -> Document:
    from lattice_bridge.testing.stream_events import dynamodb_event, dynamodb_record

    return dynamodb_event(dynamodb_record(**arguments))


def _eventbridge(arguments: Document, content: bytes | None) -> Document:
    from lattice_bridge.testing.bus_events import eventbridge_event

    return eventbridge_event(None if content is None else json.loads(content), **arguments)


_MAKERS: Final[Mapping[str, Callable[[Document, bytes | None], Document]]] = {
    "sqs": _sqs,
    "kinesis": _kinesis,
    "dynamodb": _dynamodb,
    "eventbridge": _eventbridge,
}


def _object(option: str, text: str) -> Document:
    """A JSON object. Its numbers are Decimals, as boto3 takes them."""
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{option}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"""{option}: not an object. Fix: write one, as in '{{"tenant": "blue"}}'""")
    return found


def _in_flags(text: str, source: str, given: Document) -> str:
    """A message of a builder with the name of the option instead of the argument's."""
    arguments = _SOURCES[source].arguments
    flags = {arguments[name]: flag(name) for name in (*arguments, *given)}
    names = "|".join(map(re.escape, flags))
    return re.sub(rf"^({names})\b", lambda found: flags[found[1]], text)
