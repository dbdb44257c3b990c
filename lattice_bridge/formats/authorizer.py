"""The event of a Lambda authorizer of type REQUEST, and its answer: an IAM policy or a simple response.

Rule: as in AWS's "Input to an API Gateway Lambda authorizer" and "Control access to HTTP APIs with AWS Lambda
authorizers". Nothing that a client wrote becomes part of an answer: a path with `*` would be a pattern in a policy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.errors import BadRequest, BridgeError
from lattice_bridge.formats import apigateway_v1, apigateway_v2
from lattice_bridge.formats import event as parts
from lattice_bridge.formats.recognise import NEVER_IN_CONTEXT
from lattice_bridge.message import Caller, Request

VERSION: Final = "version"
TYPE: Final = "type"
METHOD_ARN: Final = "methodArn"
"""The method of a REST API, or the route of an HTTP API with payload format 1.0."""
ROUTE_ARN: Final = "routeArn"
"""The route of an HTTP API with payload format 2.0."""
CONTEXT: Final = "requestContext"
AUTHORIZER: Final = "authorizer"
MARKS: Final = (METHOD_ARN, ROUTE_ARN)
"""Fields that only the event of an authorizer has."""

TENANT: Final = "tenantId"
"""The field of the context with the tenant: `context.authorizer.tenantId` in a parameter mapping."""

REFUSED: Final = "refused"
"""The principal in the answer to a request that is refused."""

_NEVER: Final = {
    1: (ROUTE_ARN, *apigateway_v2.MARKS, "routeKey", "raw_path", "method"),
    2: (METHOD_ARN, *apigateway_v1.MARKS, "multiValueHeaders", "multiValueQueryStringParameters", "raw_path", "method"),
}
"""Version of the payload → fields of other events. Frameworks and readers would prefer one to the other."""

_ARN: Final = re.compile(
    r"(?P<stage>arn:aws[a-z-]*:execute-api:[a-z0-9-]+:[0-9]{12}:(?P<api>[a-z0-9]{1,64})/(?:\$default|[A-Za-z0-9_-]{1,128}))"
    r"/.*",
    re.DOTALL,
)
_TRUE: Final = frozenset({"true", "1"})


def recognises(event: object) -> bool:
    """Whether an event has the marks of a Lambda authorizer's, of any type."""
    return isinstance(event, Mapping) and any(isinstance(event.get(mark), str) for mark in MARKS)


# ---- event → Request ------------------------------------------------------------------------------------------------


def parse(event: object, apis: Collection[str] | None) -> Request:
    """The request in the event of an authorizer of type REQUEST: of a REST API, or of an HTTP API with either format.

    API Gateway verifies no IAM principal before it calls a Lambda authorizer, so one that the event names is left out.
    The client's certificate and the VPC of a private API are evidence, as behind the bridge.

    Args:
        event: may be anything.
        apis: ids of the APIs that events may come from, as in `[apigateway] apis`; None for any.

    Raises:
        BadRequest: not such an event, one of another API, marks of another event, or malformed; the detail lists the
            faults.
    """
    if not isinstance(event, Mapping) or not recognises(event):
        raise BadRequest("malformed_event", "not the event of a Lambda authorizer: no methodArn and no routeArn")
    if event.get(TYPE) != "REQUEST":
        raise BadRequest("malformed_event", _type_fault(event.get(TYPE)))
    version = 2 if ROUTE_ARN in event else 1
    if mixed := [name for name in _NEVER[version] if name in event]:
        raise BadRequest("malformed_event", f"an authorizer's event with {', '.join(mixed)}, which it never has")
    api = check_enabled(event, apis)
    module = (apigateway_v1, apigateway_v2)[version - 1]
    if not module.recognises(event):
        raise BadRequest("malformed_event", f"the event lacks fields of payload format {version}.0")
    name = ("apigateway-v1", "apigateway-v2")[version - 1]
    if mixed := sorted(NEVER_IN_CONTEXT[name].intersection(event[CONTEXT])):
        raise BadRequest("malformed_event", f"an authorizer's event with {', '.join(mixed)} in {CONTEXT}")
    if AUTHORIZER in event[CONTEXT]:
        raise BadRequest("malformed_event", "requestContext.authorizer is there before the authorizer has run")
    request: Request = module.parse(event)
    if api != request.api_id:
        raise BadRequest("malformed_event", "requestContext.apiId is not the API of methodArn or routeArn")
    return replace(request, caller=Caller(source_vpc_arn=request.caller.source_vpc_arn))


def check_enabled(event: Mapping[str, Any], apis: Collection[str] | None) -> str:
    """Refuses an event of an API that is not listed. Returns the id of the API.

    Raises:
        BadRequest: as said; or the event names no API.
    """
    arn = _arn(event)
    if arn is None:
        raise BadRequest("malformed_event", "methodArn or routeArn is not the ARN of a method")
    if apis is not None and arn["api"] not in apis:
        raise BadRequest("not_enabled", f"an event of the API {arn['api']}, which is not in [apigateway] apis")
    return arn["api"]


def _type_fault(kind: object) -> str:
    if kind == "TOKEN":
        what = "the authorizer is of type TOKEN, whose events contain one header and no others"
        return f"{what}. Fix: make an authorizer of type REQUEST"
    return "the event of an authorizer whose type is not REQUEST"


def _arn(event: Mapping[str, Any]) -> re.Match[str] | None:
    value = event.get(ROUTE_ARN) if ROUTE_ARN in event else event.get(METHOD_ARN)
    return _ARN.fullmatch(value) if isinstance(value, str) and len(value) <= parts.MAX_TARGET else None


def request_id_of(event: object) -> str | None:
    """API Gateway's id of an event that may be anything."""
    context = event.get(CONTEXT) if isinstance(event, Mapping) else None
    return parts.read_request_id(context.get("requestId")) if isinstance(context, Mapping) else None


# ---- decision → answer ----------------------------------------------------------------------------------------------


def is_simple(event: object, setting: str | None) -> bool:
    """Whether the answer is a simple response. An event does not contain the API's `EnableSimpleResponses`.

    Args:
        event: may be anything. Only payload format 2.0 has simple responses.
        setting: the value of the environment variable, or None.
    """
    wanted = (setting or "").lower() in _TRUE
    return wanted and isinstance(event, Mapping) and event.get(VERSION) == "2.0"


def status_of(refusal: BridgeError, event: object) -> int:
    """The status that API Gateway answers a refused event with, which may be anything: 401, 403 or 500.

    401 needs the error `Unauthorized`, which AWS documents for REST APIs only.
    """
    is_rest = isinstance(event, Mapping) and METHOD_ARN in event and event.get(VERSION) is None
    if refusal.status >= 500:
        return 500
    return 401 if refusal.status == 401 and is_rest else 403


def allow(request: Request, tenant: str, *, simple: bool = False) -> dict[str, Any]:
    """The answer for a request that may run as a tenant.

    The policy is for every method of the API's stage. A decision depends on neither the method nor the path, and API
    Gateway applies a cached policy to all of them. The method's own ARN contains the path as the client wrote it, and
    would be refused from 512 characters on.

    Args:
        request: a request that `parse` made.
        tenant: the tenant id. It is also the principal, which access logs contain.
        simple: whether the API expects a simple response.
    """
    context = {TENANT: tenant}
    if simple:
        return {"isAuthorized": True, "context": context}
    arn = _arn(request.event)
    assert arn is not None
    return {**_policy(tenant, "Allow", f"{arn['stage']}/*"), "context": context}


def deny(*, simple: bool = False) -> dict[str, Any]:
    """The answer for a request that is refused. It is the same for every reason, and contains nothing of the event."""
    return {"isAuthorized": False} if simple else _policy(REFUSED, "Deny", "*")


def _policy(principal: str, effect: str, resource: str) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
