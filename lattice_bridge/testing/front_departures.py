"""Departures of an event of API Gateway, a function URL or a load balancer from what they are documented to send.

Rule: only the structure is checked: the fields that an event has, and their types. What makes the bridge refuse an
event is found by the readers of the bridge and of the authorizer, as for an event that bridge.toml enables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from lattice_bridge.errors import BridgeError
from lattice_bridge.formats import alb, apigateway_v1, apigateway_v2, authorizer
from lattice_bridge.formats.recognise import format_of, is_function_url, parse_any
from lattice_bridge.http import headers as names
from lattice_bridge.message import Format
from lattice_bridge.testing.departure import Departures, Fields, Known, Words

Kind = Format | Literal["authorizer-apigateway-v1", "authorizer-apigateway-v2"]
"""A format of HTTP events, or that in which API Gateway asks a Lambda authorizer."""

FORMATS: Final = Known("documented", "Which format")

_REST: Final = (*apigateway_v1.FIELDS, apigateway_v2.VERSION, "pathParameters", "stageVariables")
_HTTP: Final = (*apigateway_v2.FIELDS, "pathParameters", "stageVariables")
_ASKED: Final = (authorizer.TYPE, "identitySource", "authorizationToken")


class _Form(NamedTuple):
    """What an event of one kind has.

    Attributes:
        sender: for people.
        fields: all fields that it can have.
        always: the fields that it always has, by the type of their value, and whether they can be null.
        context: the fields that `requestContext` always has.
    """

    sender: str
    fields: tuple[str, ...]
    always: Mapping[str, tuple[type, bool]]
    context: tuple[str, ...] = ()


_REST_ASKS: Final = {
    apigateway_v1.RESOURCE: (str, False),
    apigateway_v1.PATH: (str, False),
    apigateway_v1.METHOD: (str, False),
    apigateway_v1.HEADERS: (dict, True),
    apigateway_v1.MULTI_HEADERS: (dict, True),
    apigateway_v1.QUERY: (dict, True),
    apigateway_v1.MULTI_QUERY: (dict, True),
}
_HTTP_ASKS: Final = {
    apigateway_v2.ROUTE_KEY: (str, False),
    apigateway_v2.PATH: (str, False),
    apigateway_v2.RAW_QUERY: (str, False),
    apigateway_v2.HEADERS: (dict, False),
}
_CONTEXT: Final = ("accountId", "apiId", apigateway_v2.REQUEST_ID, "stage")
_FORMS: Final[Mapping[Kind, _Form]] = {
    "apigateway-v1": _Form(
        "API Gateway with payload format 1.0",
        _REST,
        {**_REST_ASKS, apigateway_v1.BODY: (str, True), apigateway_v1.IS_BASE64: (bool, False)},
        (*_CONTEXT, "resourcePath"),
    ),
    "apigateway-v2": _Form(
        "API Gateway with payload format 2.0",
        _HTTP,
        {**_HTTP_ASKS, apigateway_v2.IS_BASE64: (bool, False)},
        (*_CONTEXT, "domainName", "routeKey"),
    ),
    "alb": _Form(
        "a load balancer",
        alb.FIELDS,
        {alb.PATH: (str, False), alb.METHOD: (str, False), alb.BODY: (str, False), alb.IS_BASE64: (bool, False)},
    ),
    "authorizer-apigateway-v1": _Form(
        "API Gateway for a Lambda authorizer with payload format 1.0",
        (*_REST, authorizer.METHOD_ARN, *_ASKED),
        {authorizer.TYPE: (str, False), authorizer.METHOD_ARN: (str, False), **_REST_ASKS},
        _CONTEXT,
    ),
    "authorizer-apigateway-v2": _Form(
        "API Gateway for a Lambda authorizer with payload format 2.0",
        (*_HTTP, authorizer.ROUTE_ARN, *_ASKED),
        {authorizer.TYPE: (str, False), authorizer.ROUTE_ARN: (str, False), **_HTTP_ASKS},
        _CONTEXT,
    ),
}
_TYPES: Final = {str: "a string", dict: "an object", bool: "true or false"}
_NOT_READ: Final = (apigateway_v1.BODY, apigateway_v1.IS_BASE64)
"""Fields that the event of an authorizer does not have."""


def kind_of(event: object) -> Kind | None:
    """The kind of an event, by the marks of the formats; None if it has those of none or of several.

    >>> kind_of({"type": "REQUEST", "methodArn": "arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/prod/GET/"})
    'authorizer-apigateway-v1'
    """
    if authorizer.recognises(event):
        assert isinstance(event, Mapping)
        return "authorizer-apigateway-v2" if authorizer.ROUTE_ARN in event else "authorizer-apigateway-v1"
    return format_of(event)


def sender_of(event: Fields, kind: Kind) -> str:
    """What sends events of a kind, for people."""
    if kind == "apigateway-v2" and is_function_url(event[apigateway_v2.CONTEXT]):
        return "a function URL"
    return _FORMS[kind].sender


def of_front(event: Fields, kind: Kind, found: Departures) -> None:
    """Adds the departures of an event that is not Lattice's.

    If the bridge refuses the event although it is enabled, or the authorizer does, one of them has `refused`.
    """
    form = _FORMS[kind]
    if authorizer.recognises(event) and event.get(authorizer.TYPE) != "REQUEST":  # with other fields, if it is TOKEN
        found.key(event, authorizer.TYPE, "REQUEST, for an authorizer of this type", FORMATS, refused=True)
        return
    _fields(event, kind, form, found)
    _headers(event, kind, found)
    context = event.get(apigateway_v1.CONTEXT)
    if isinstance(context, Mapping):
        _context(context, kind, form, found.inside(apigateway_v1.CONTEXT))
    else:
        found.key(event, apigateway_v1.CONTEXT, "an object", FORMATS)
    try:
        authorizer.parse(event, None) if authorizer.recognises(event) else parse_any(event)
    except BridgeError as refusal:
        found.add(Words(refusal.detail), "nothing that can be read in two ways", FORMATS, refused=True)


def _fields(event: Fields, kind: Kind, form: _Form, found: Departures) -> None:
    allowed = form.fields if kind in ("apigateway-v1", "apigateway-v2", "alb") else _without_body(form.fields)
    for key in event:
        if key not in allowed:
            found.key(event, str(key), "no such key", FORMATS)
    for key, (kind_of_value, may_be_null) in form.always.items():
        value = event.get(key)
        if not isinstance(value, kind_of_value) and not (may_be_null and key in event and value is None):
            sends = f"{_TYPES[kind_of_value]}{' or null' if may_be_null else ''}, always there"
            found.key(event, key, sends, FORMATS)


def _without_body(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in fields if name not in _NOT_READ)


def _headers(event: Fields, kind: Kind, found: Departures) -> None:
    """A map has one value for each name, or lists. Payload format 2.0 and load balancers write names in lower case."""
    maps = [
        (field, is_multi)
        for field, is_multi in ((alb.HEADERS, False), (alb.MULTI_HEADERS, True))
        if isinstance(event.get(field), Mapping)
    ]
    if kind == "alb" and not maps:
        found.key(event, alb.HEADERS, f"an object here or in {alb.MULTI_HEADERS}", FORMATS)
    folds = kind in ("alb", "apigateway-v2", "authorizer-apigateway-v2")
    for field, is_multi in maps:
        for name, value in event[field].items():
            inside = found.inside(field, str(name))
            if not isinstance(value, list if is_multi else str):
                inside.add(value, "a list of strings, also of one" if is_multi else "one string", FORMATS)
            if folds and isinstance(name, str) and name != names.lower(name):
                inside.add(Words(name), f"the name in lower case: {names.lower(name)}", FORMATS)


def _context(context: Fields, kind: Kind, form: _Form, found: Departures) -> None:
    for name in form.context:
        if not isinstance(context.get(name), str):
            found.key(context, name, "a string, always there", FORMATS)
    if kind == "alb":
        balancer = context.get(alb.BALANCER)
        if isinstance(balancer, Mapping) and not isinstance(balancer.get(alb.TARGET_GROUP_ARN), str):
            found.inside(alb.BALANCER).key(balancer, alb.TARGET_GROUP_ARN, "the ARN of the target group", FORMATS)
