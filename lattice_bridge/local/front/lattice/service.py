"""VPC Lattice as a way in: authorizes a request, finds its rule, invokes the target group's function, and responds.

Rule: a request is either passed on exactly as sent, or refused with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lattice_bridge.formats.assumptions import FRONT_FUNCTION_FAILED, FRONT_FUNCTION_THROTTLED, FRONT_FUNCTION_TIMED_OUT
from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import Answer, Exchange, session_name
from lattice_bridge.local.front.exchange.function_reply import BadReply
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse, Signer, to_json
from lattice_bridge.local.front.exchange.recorder import without_credentials
from lattice_bridge.local.front.lattice import events as wire
from lattice_bridge.local.front.lattice.authorization import NotAuthorized, authorize
from lattice_bridge.local.plan.listener_rules import Action, TargetGroup, action_for, choose_target_group
from lattice_bridge.local.plan.model import SOURCE_VPC, Service
from lattice_bridge.local.web.admission import Refused
from lattice_bridge.local.web.sigv4 import SignatureRefused, Signed, lattice_signer


async def serve(request: HttpRequest, service: Service, exchange: Exchange) -> Answer:
    """Answers a request as VPC Lattice does.

    Raises:
        Refused: the request, or the answer of the function.
    """
    signer = _authenticate(request, service, exchange)
    path = request.target.partition("?")[0]
    action = action_for(service.rules, request.method, path, request.headers)
    if action.status is not None:
        return Answer(HttpResponse(action.status), _fixed(action, service))
    group = choose_target_group(action)
    origin = origin_of(service, group, exchange.id)
    payload = _to_payload(_event(request, origin, signer, group))
    result = await _invoke(exchange, group, payload)
    if exchange.recorder is not None:
        await exchange.record(_event(without_credentials(request), origin, signer, group), request, result)
    return Answer(_to_response(result, group, request.method))


def _authenticate(request: HttpRequest, service: Service, exchange: Exchange) -> Signer | None:
    path, _, query = request.target.partition("?")
    signed = Signed(request.method, path, query, request.headers)
    try:
        identity = lattice_signer(signed, exchange.identities, region=exchange.region, now=exchange.now)
        signer = identity.signer(session_name(signed, identity)) if identity else None
    except SignatureRefused as error:
        raise Refused(403, str(error), reason="signature_refused") from error
    if identity is not None and signer is not None:
        exchange.observer.identified(exchange.id, identity.access_key, str(signer.principal))
    try:
        authorize(service, request, signer)
    except NotAuthorized as error:
        raise Refused(403, error.response, f"{error}; {_advice(service, signer)}", reason="auth_policy") from error
    return signer


async def _invoke(exchange: Exchange, group: TargetGroup, payload: bytes) -> InvocationResult:
    try:
        return await exchange.invoke(group.function, payload)
    except LambdaError as error:
        cause = f"Lambda refused to invoke {group.function}: {error.code}: {error}"
        if error.status == 429:
            raise Refused(
                FRONT_FUNCTION_THROTTLED, "Service Unavailable", cause, reason="function_throttled"
            ) from error
        raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway", cause, reason="invoke_refused") from error


def _advice(service: Service, signer: Signer | None) -> str:
    """Names the caller that an auth policy refused, and the fix."""
    if any(policy.name is None for policy in service.policies):
        fix = "write an AWS::VpcLattice::AuthPolicy for it"
    else:
        fix = "change the policy, or sign as another caller" if signer else "sign it, or change the policy"
    return f"the caller is {signer.principal}. Fix: {fix}" if signer else f"the request is not signed. Fix: {fix}"


def _fixed(action: Action, service: Service) -> str:
    if action is service.rules[-1].action:
        return f"no listener rule of the service {service.name} matches, and its default action invokes no function"
    return f"the listener rule of the service {service.name} that matches invokes no function"


def origin_of(service: Service, group: TargetGroup, request_id: str) -> wire.Origin:
    """What Lattice adds to a request: the service that received it, the target group, the source VPC, and the time."""
    return wire.Origin(
        request_id=request_id,
        epoch_microseconds=time.time_ns() // 1000,
        service_arn=service.arn,
        service_network_arn=service.network_arn,
        target_group_arn=group.arn,
        source_vpc_arn=service.arn.replace(":vpc-lattice:", ":ec2:").rpartition(":")[0] + f":vpc/{SOURCE_VPC}",
    )


def _event(request: HttpRequest, origin: wire.Origin, signer: Signer | None, group: TargetGroup) -> dict[str, Any]:
    return wire.event_v1(request, origin, signer) if group.version == 1 else wire.event_v2(request, origin, signer)


def _to_payload(event: Mapping[str, Any]) -> bytes:
    payload = to_json(event)
    if len(payload) > SYNC_LIMIT:
        raise Refused(413, f"Content Too Large: the event is {len(payload)} bytes of JSON; Lambda takes {SYNC_LIMIT}")
    return payload


def _to_response(result: InvocationResult, group: TargetGroup, method: str) -> HttpResponse:
    if result.timed_out:
        cause = f"{group.function} timed out. Fix: make it faster, or raise its Timeout in the template"
        raise Refused(FRONT_FUNCTION_TIMED_OUT, "Gateway Timeout", cause, reason="function_timeout")
    if result.error is not None:
        cause = f"{group.function} failed: {result.description}"
        raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway", cause, reason="function_failed")
    try:
        return wire.http_response(result.payload, method)
    except BadReply as error:
        cause = f"the response of {group.function} is not one that Lattice accepts: {error}"
        raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway", cause, reason="not_a_reply") from error
