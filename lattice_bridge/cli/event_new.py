"""`lattice-bridge event new`: makes an event.

Rule: an option that has no effect is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import COMPACT, read_bytes
from lattice_bridge.cli.event_new_record import SOURCES, flag, new_record, record_options, sources_of

Document = dict[str, Any]

_FLAGS: Final = {
    "version": "--version",
    "path": "--path",
    "method": "--method",
    "headers": "--header",
    "body": "--body",
    "principal": "--principal",
    "session_name": "--session-name",
    "org_id": "--org",
    "x509": "--x509",
    "source_vpc": "--source-vpc",
    "client_address": "--client-address",
    "service_arn": "--service-arn",
    "service_network_arn": "--service-network-arn",
    "target_group_arn": "--target-group-arn",
    "region": "--region",
    "request_id": "--request-id",
    "time": "--time",
}
"""`lattice_event`'s arguments, which its error messages name, and the options for them."""


def _version(_: click.Context, __: click.Parameter, text: str) -> Literal[1, 2]:
    match text.lower().removeprefix("v"):
        case "1":
            return 1
        case "2":
            return 2
    raise click.BadParameter(f"{text!r} is not a version of Lattice's events: write 1 or 2")


_NEW_EXAMPLES: Final = """\b
Examples:
  lattice-bridge event new --path '/orders?id=7' -H 'x-tenant-id: blue' \\
    --principal arn:aws:iam::111122223333:role/blue-api
  lattice-bridge event new --source sqs --queue orders.fifo --group blue \\
    --attribute tenant=blue --json-body '{"order": 7}'
  lattice-bridge event new --source kinesis --partition-key blue --json-body '{}'
  lattice-bridge event new --source dynamodb --table orders --keys '{"id": 7}' \\
    --new-image '{"owner": "blue"}'
  lattice-bridge event new --source eventbridge --bus-source shop.orders \\
    --json-body '{"tenant": "blue"}'
"""


@click.command(epilog=_NEW_EXAMPLES, short_help="Make an event.")
@click.option(
    "--front",
    type=click.Choice(["lattice", "http-api", "rest-api", "function-url", "alb"]),
    default="lattice",
    show_default=True,
    help="What is in front of the function.",
)
@click.option("--source", type=click.Choice(SOURCES), help="The service that the event is from.")
@click.option(
    "--version", metavar="1|2", default="2", show_default=True, callback=_version, help="The event version of Lattice."
)
@click.option("--method", "-X", metavar="NAME", help="Default: GET, or POST if there is a body.")
@click.option("--path", metavar="TARGET", default="/", show_default=True, help="The path and query, as sent.")
@click.option(
    "--header",
    "-H",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    help="A header. Repeatable, also with one name.",
)
@click.option("--body", metavar="TEXT|@FILE", help="The body or data: text, or the bytes of a file.")
@click.option(
    "--json-body",
    metavar="TEXT|@FILE",
    help="As --body, with the content-type application/json unless a header has one; or the detail of an event.",
)
@click.option(
    "--principal",
    metavar="ARN",
    help="The caller that the front authenticated. Default: none, the request is unsigned.",
)
@click.option("--session-name", metavar="NAME", help="The name of the role's session, if it is not in the ARN.")
@click.option("--org", "org_id", metavar="ID", help="The principal's organisation, o-….")
@click.option(
    "--x509",
    metavar="FIELD=VALUE",
    multiple=True,
    help="A field of the certificate, as in san_uri=spiffe://…. Repeatable.",
)
@click.option("--source-vpc", metavar="ID|ARN", help="The VPC that the request comes from.")
@click.option("--client-address", metavar="IP", help="The address from which the front received the request.")
@click.option("--service-arn", metavar="ARN", help="The Lattice service.")
@click.option("--service-network-arn", metavar="ARN", help="The service network.")
@click.option("--target-group-arn", metavar="ARN", help="The function's target group.")
@click.option("--region", metavar="NAME", help="The Region, if it is not in the service's ARN.")
@click.option("--request-id", metavar="ID", help="The front's id of the request.")
@click.option(
    "--time", metavar="TIME", help="When the front received it: 2025-11-21T00:00:00Z, or microseconds since 1970."
)
@click.option("--sent-by", metavar="ID|ARN", help="The API, or the load balancer's target group.")
@click.option(
    "--authorizer", metavar="JSON", help='What the API\'s authorizer returned, as in \'{"tenantId": "blue"}\'.'
)
@click.option("--client-cert", metavar="SUBJECT", help="The subject of the certificate that API Gateway verified.")
@record_options
@show.JSON_ALWAYS
@COMPACT
def new(
    *, headers: tuple[str, ...], x509: tuple[str, ...], attribute: tuple[str, ...], compact: bool, **asked: Any
) -> None:
    """Print the event that Lattice, or another front, would make of a request; with --source, the event of a record of
    a queue, a stream or a table, or the event of a bus. The same options make the same event. As in Lattice's events,
    the body of a request is in base64 unless the content-type is one for text. Exits with 0, or with 2 if an option has
    a value that the front or the sender cannot send."""
    if (source := asked.pop("source")) is not None:
        given = _given({**asked, "headers": headers, "x509": x509, "attribute": attribute})
        show.say_json(_of_source(source, given), compact=compact)
        return
    asked["attribute"], asked["pipe"] = attribute or None, asked["pipe"] or None
    pairs = [_header(text) for text in headers]
    text, json_text = asked.pop("body"), asked.pop("json_body")
    if text is not None and json_text is not None:
        raise click.UsageError("give either --body or --json-body")
    body = _bytes(text if json_text is None else json_text)
    if json_text is not None:
        _check_json(body)
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("content-type", "application/json"))
    asked["method"] = asked["method"] or ("POST" if body else "GET")
    asked["time"] = _time(asked["time"])
    asked["x509"] = dict(_pairs(x509, "--x509", "san_uri=spiffe://…")) or None
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        event = _made(given, headers=pairs, body=body)
    except ValueError as error:
        raise click.UsageError(_in_flags(str(error))) from error
    show.say_json(event, compact=compact)


# ---- records --------------------------------------------------------------------------------------------------------

_DEFAULTS: Final = {"front": "lattice", "version": 2, "path": "/", "pipe": False}


def _given(asked: Document) -> Document:
    """The options that were written, apart from those with their default."""
    return {name: value for name, value in asked.items() if value not in (None, (), _DEFAULTS.get(name, ()))}


def _of_source(source: str, given: Document) -> Document | list[Document]:
    text, json_text = given.get("body"), given.get("json_body")
    if text is not None and json_text is not None:
        raise click.UsageError("give either --body or --json-body")
    content = None if text is None and json_text is None else _bytes(text or json_text)
    if json_text is not None and content is not None:
        _check_json(content)
    if "attribute" in given:
        given["attribute"] = dict(_pairs(given["attribute"], "--attribute", "tenant=blue"))
    if "time" in given:
        given["time"] = _time(given["time"])
    return new_record(source, given, content)


# ---- requests -------------------------------------------------------------------------------------------------------

_OF_GATEWAYS: Final = ("sent_by", "authorizer", "client_cert")
_OF_BOTH: Final = ("method", "path", "principal", "session_name", "org_id")


def _made(given: dict[str, Any], **content: Any) -> Document:
    """The event of the front that was asked for. An option of another front is refused: it would have no effect."""
    from lattice_bridge.testing.builders import gateway_event, lattice_event

    front, version = given.pop("front"), given.pop("version")
    allowed = _OF_BOTH + (_OF_GATEWAYS if front != "lattice" else tuple(name for name in _FLAGS if name != "version"))
    if wrong := [name for name in given if name not in allowed]:
        if owners := sources_of(wrong[0]):
            raise click.UsageError(f"{flag(wrong[0])} is for a record. Fix: add --source {' or '.join(owners)}")
        raise click.UsageError(f"{flag(wrong[0])} is no option for --front {front}. Fix: leave it out")
    if front == "lattice":
        return lattice_event(version, **given, **content)
    if (text := given.get("authorizer")) is not None:
        try:
            given["authorizer"] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--authorizer: not JSON: {error}") from error
        if not isinstance(given["authorizer"], dict):
            raise click.UsageError("""--authorizer: not an object. Fix: write one, as in '{"tenantId": "blue"}'""")
    return gateway_event(front, **given, **content)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"--header {text!r}: no colon in it. Fix: write 'name: value'")
    return name, value.strip(" \t")


def _bytes(text: str | None) -> bytes:
    if text is None:
        return b""
    if text.startswith("@"):
        return read_bytes(Path(text[1:]))
    return text.encode("utf-8", "surrogateescape")  # the bytes that the shell passed


def _check_json(body: bytes) -> None:
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--json-body is not JSON: {error}") from error


def _pairs(texts: Iterable[str], option: str, example: str) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise click.UsageError(f"{option} {text!r}: no = in it. Fix: write '{example}'")
        yield name, value


def _time(text: str | None) -> int | datetime | None:
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    raise click.UsageError(f"--time {text!r} is not a time with a zone: write 2025-11-21T00:00:00Z")


def _in_flags(text: str) -> str:
    """A message of `lattice_event` with the names of options. Values, which are in quotes, stay as they are."""
    names = "|".join(sorted(_FLAGS, key=len, reverse=True))
    text = re.sub(rf"\b({names})=", lambda found: f"{_FLAGS[found[1]]} ", text)
    text = re.sub(rf"^({names})\b", lambda found: _FLAGS[found[1]], text)
    return re.sub(r"(?<!['\w-])(session_name|org_id|source_vpc|service_arn)\b", lambda found: _FLAGS[found[1]], text)
