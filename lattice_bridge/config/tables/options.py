"""The tables of bridge.toml beside the map: read into Options, or refused with every fault in them.

Rule: all faults are found at start, and all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field

from lattice_bridge.config.options import DEFAULT_REFRESH, DEFAULT_TIMEOUT, Backend, LoggedCaller, Options
from lattice_bridge.config.tables.event_source import read_event_sources
from lattice_bridge.config.tables.table import Reader, Table, function_faults, label
from lattice_bridge.config.words import MOST, quoted
from lattice_bridge.errors import Fault
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME, SET_COOKIE
from lattice_bridge.formats.event import Payload, Scheme
from lattice_bridge.http import headers as names
from lattice_bridge.invoke.call import Invocation

_SERVICE: Final = re.compile(r"arn:aws(-[a-z]+)*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:service/svc-[0-9a-z]+")
_API: Final = re.compile(r"[a-z0-9]{8,16}")
_HOST_OF_API: Final = re.compile(r"(?:https://)?([a-z0-9]{8,16})\.execute-api\.")
_TARGET_GROUP: Final = re.compile(
    r"arn:aws(-[a-z]+)*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}"
)
_SEGMENT: Final = r"[!-)+-.0->@-~]+"  # visible ASCII without / ? and *
_NOT_A_SEGMENT: Final = r"[^!-)+-.0->@-~]+"
_PATH: Final = re.compile(rf"/({_SEGMENT}(/{_SEGMENT})*)?")


class BackendTable(Table):
    """One `[[backend]]`. `timeout` is seconds."""

    path: str = Field(default="/", description="Whole segments at the beginning of a request's path, as in /orders.")
    function: str = Field(description="A Lambda function's name or ARN, with an optional :qualifier.")
    isolated: bool = Field(
        default=True,
        description="Whether the function has tenant isolation. If not, it is invoked without a tenant id.",
    )
    payload: Payload = Field(
        default="lattice", description="The format of the event that the function receives; see docs/backends.md."
    )
    invocation: Invocation = Field(default="sync", description="sync waits for the answer; async answers 202 at once.")
    timeout: float = Field(
        default=DEFAULT_TIMEOUT,
        ge=0.25,
        le=900,
        description="Seconds, and never later than the bridge's own deadline.",
    )
    keep_headers: tuple[Literal["authorization", "x-amz-security-token"], ...] = Field(
        default=(),
        strict=False,
        description="Credentials that the function receives instead of the bridge dropping them.",
    )


class LatticeTable(Table):
    """`[lattice]`: the events that are accepted, and the form of replies."""

    services: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="ARNs of the Lattice services that events may come from. V1 events contain none, and are refused.",
    )
    set_cookie: Literal["cookies", "headers"] = Field(
        default=SET_COOKIE, description="The part of a reply with its cookies."
    )
    scheme: Scheme = Field(
        default=FORWARDED_SCHEME,
        description="The scheme that clients use, for backends with another format than Lattice's.",
    )


class ApiGatewayTable(Table):
    """`[apigateway]`: the APIs whose events are accepted, beside Lattice's."""

    apis: tuple[str, ...] = Field(
        strict=False,
        description="Ids of the REST and HTTP APIs that events may come from.",
    )


class AlbTable(Table):
    """`[alb]`: the load balancers whose events are accepted, beside Lattice's."""

    target_groups: tuple[str, ...] = Field(
        strict=False,
        description="ARNs of the target groups that events may come from.",
    )


class FunctionUrlTable(Table):
    """`[function_url]`: whether the bridge's own function URL may send events."""

    enabled: bool = Field(
        description="Its AuthType has to be AWS_IAM: an unsigned request is refused unless a rule has anyone."
    )


class ReplyTable(Table):
    """`[reply]`: what the bridge removes from a backend's reply."""

    drop_headers: tuple[str, ...] = Field(
        default=(), strict=False, description="Names of headers, as in set-cookie and strict-transport-security."
    )


class TopTable(Table):
    """The keys outside of any table."""

    invoker: Literal["direct", "boto3"] = Field(
        default="direct",
        description="How functions are invoked: by requests that the bridge signs itself, or through boto3.",
    )


class LogTable(Table):
    """`[log]`: what log lines contain."""

    caller: LoggedCaller = Field(
        default="key",
        description="What the line of a refused request contains of its caller: key is the account and role, or the "
        "issuer and a hash of the subject; full is the principal's ARN and the subject.",
    )


class MapTable(Table):
    """`[map]`: how the bridge follows changes of its configuration."""

    refresh: float = Field(
        default=DEFAULT_REFRESH, ge=5, le=86400, description="Seconds between two checks for another version."
    )


def read_options(tables: Mapping[str, Any], faults: list[Fault]) -> Options:
    """The options that the tables describe. Everything wrong with them is added to `faults`; if there is something, the
    options are only those that could be read."""
    reader = Reader()
    lattice = reader.fit(LatticeTable, tables.get("lattice", {}), "lattice", ("lattice",)) or LatticeTable()
    reply = reader.fit(ReplyTable, tables.get("reply", {}), "reply", ("reply",)) or ReplyTable()
    log = reader.fit(LogTable, tables.get("log", {}), "log", ("log",)) or LogTable()
    followed = reader.fit(MapTable, tables.get("map", {}), "map", ("map",)) or MapTable()
    named = {key: tables[key] for key in TopTable.model_fields if key in tables}
    top = reader.fit(TopTable, named, "bridge.toml", ()) or TopTable()
    written = reader.each(BackendTable, tables.get("backend", []), "backend")
    _check_backends(written, tables, reader)
    event_sources = read_event_sources(tables.get("event_source", []), reader)
    reader.add("lattice", ("lattice",), _service_faults(lattice.services))
    ways_in = _ways_in(tables, reader)
    reader.add("reply", ("reply",), _drop_headers_faults(reply.drop_headers))
    faults += reader.faults
    return Options(
        backends=tuple(map(_backend, written.values())),
        event_sources=event_sources,
        services=frozenset(lattice.services),
        **ways_in,
        set_cookie=lattice.set_cookie,
        drop_headers=frozenset(map(names.lower, reply.drop_headers)),
        scheme=lattice.scheme,
        refresh=followed.refresh,
        invoker=top.invoker,
        log_caller=log.caller,
    )


def _ways_in(tables: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """The options of the tables that enable events of others than Lattice. Each table is absent, or enables something:
    an empty list would look like `services`, which allows every service if it is empty."""
    found: dict[str, Any] = {}
    if "apigateway" in tables:
        gateway = reader.fit(ApiGatewayTable, tables["apigateway"], "apigateway", ("apigateway",))
        if gateway is not None:
            reader.add("apigateway", ("apigateway",), _list_faults("apis", gateway.apis, api_fault))
            found["apis"] = frozenset(gateway.apis)
    if "alb" in tables:
        alb = reader.fit(AlbTable, tables["alb"], "alb", ("alb",))
        if alb is not None:
            reader.add("alb", ("alb",), _list_faults("target_groups", alb.target_groups, target_group_fault))
            found["target_groups"] = frozenset(alb.target_groups)
    if "function_url" in tables:
        url = reader.fit(FunctionUrlTable, tables["function_url"], "function_url", ("function_url",))
        found["function_url"] = url is not None and url.enabled is True
    return found


def _list_faults(key: str, values: tuple[str, ...], fault_of: Callable[[str], str | None]) -> Iterator[Fault]:
    if not values:
        yield Fault(
            f"{key} is empty, so nothing is accepted. Fix: write one, or remove the table", (key,), given=(key,)
        )
    for index, value in enumerate(values):
        if fault := fault_of(value):
            yield Fault(fault, (key, index))
        elif value in values[:index]:
            yield Fault(f"{key}: {quoted(value)} occurs twice. Fix: write it once", (key, index))


def api_fault(api: str) -> str | None:
    """The fault of an entry of `[apigateway] apis`, or None.

    >>> api_fault("a1b2c3d4e5")
    >>> api_fault("https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/prod").partition("Fix: ")[2]
    'write apis = ["a1b2c3d4e5"]'
    """
    if _API.fullmatch(api) is not None:
        return None
    host = _HOST_OF_API.match(api)
    fix = f'write apis = ["{host[1]}"]' if host else "write the id alone, as in a1b2c3d4e5"
    return f"apis: {quoted(api)} is not the id of an API. Fix: {fix}"


def target_group_fault(arn: str) -> str | None:
    """The fault of an entry of `[alb] target_groups`, or None."""
    if _TARGET_GROUP.fullmatch(arn) is not None:
        return None
    form = "arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID"
    what = f"target_groups: {quoted(arn)} is not the ARN of a load balancer's target group"
    return f"{what}. Fix: write it in the form {form}"


def _backend(table: BackendTable) -> Backend:
    return Backend(**{**table.model_dump(), "keep_headers": frozenset(table.keep_headers)})


def _check_backends(written: Mapping[int, BackendTable], tables: Mapping[str, Any], reader: Reader) -> None:
    seen: set[str] = set()
    for index, backend in written.items():
        where = f"backend {label(tables['backend'][index], index)}"
        is_repeated = backend.path in seen
        reader.add(where, ("backend", index), _backend_faults(backend, is_repeated=is_repeated))
        seen.add(backend.path)


def _backend_faults(backend: BackendTable, *, is_repeated: bool) -> Iterator[Fault]:
    if _PATH.fullmatch(backend.path) is None or {".", ".."} & set(backend.path.split("/")):
        segments = [part for part in re.split(_NOT_A_SEGMENT, backend.path[:MOST]) if part not in ("", ".", "..")]
        what = f"path {quoted(backend.path)} is not a path of whole segments"
        fix = f"write it as in {'/' + '/'.join(segments)}, without *, ?, . and .."
        yield Fault(f"{what}. Fix: {fix}", ("path",))
    if is_repeated:
        yield Fault("another backend has this path. Fix: give each backend its own", ("path",))
    yield from function_faults(backend.function)


def _service_faults(services: Iterable[str]) -> Iterator[Fault]:
    for index, service in enumerate(services):
        if fault := service_fault(service):
            yield Fault(fault, ("services", index))


def service_fault(arn: str) -> str | None:
    """The fault of an entry of `[lattice] services`, or None."""
    if _SERVICE.fullmatch(arn) is not None:
        return None
    form = "arn:aws:vpc-lattice:REGION:ACCOUNT:service/svc-ID"
    return f"services: {quoted(arn)} is not the ARN of a VPC Lattice service. Fix: write it in the form {form}"


def _drop_headers_faults(dropped: Iterable[str]) -> Iterator[Fault]:
    for index, name in enumerate(dropped):
        path = ("drop_headers", index)
        if not names.is_token(name):
            what = f"drop_headers: {quoted(name)} is not a header name. Fix: write one, such as set-cookie"
            yield Fault(what, path)
        elif names.lower(name) == "content-type":
            yield Fault('drop_headers: a browser guesses the type without "content-type". Fix: leave it out', path)
