"""Runs the Lambda authorizers of API Gateway, with their cache, and evaluates the policies that they return.

Rule: a cached result is used for the same API, stage, authorizer and values of all identity sources only. A cached
policy is evaluated again for each method, as AWS does: it may allow one and not another.
Sources: "Use API Gateway Lambda authorizers" and "Output from an API Gateway Lambda authorizer" of the API Gateway
guide.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, NoReturn

from lattice_bridge.deployment.iam.policy import BadPolicy, read_policy
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.front.exchange.authorizer_cache import Result
from lattice_bridge.local.front.exchange.exchange import Exchange
from lattice_bridge.local.front.exchange.http_message import to_json
from lattice_bridge.local.plan.auth_policy import RequestContext, decide
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer

INVOKE: Final = "execute-api:Invoke"
"""The action that every request to API Gateway asks for."""
KNOWN_KEYS: Final = frozenset(
    {
        *("aws:sourceip", "aws:useragent", "aws:referer", "aws:securetransport", "aws:requestedregion"),
        *(f"aws:principal{name}" for name in ("type", "arn", "account", "orgid")),
        *("aws:sourcevpc", "aws:sourcevpce", "aws:username", "aws:userid"),
    }
)
"""Condition keys whose value, or absence, is known of every request, in lower case."""

MAX_RESULT: Final = 8 * 1024
"""Bytes of a result that is cached. AWS's quota of a policy is as large."""
_UNAUTHORIZED: Final = "Unauthorized"
"""The error that becomes a 401."""
_EVERYBODY: Final = (("*", "*"),)
_LONGEST_PATTERN: Final = 256


class Unauthorized(Exception):
    """401: no identity, or the function raised `Unauthorized`. The message is for the stack's log."""


class AccessDenied(Exception):
    """403: the result does not allow the request. The message is for the stack's log.

    Attributes:
        explicit: a statement denies it.
    """

    def __init__(self, message: str, *, explicit: bool) -> None:
        super().__init__(message)
        self.explicit = explicit


class AuthorizerFailed(Exception):
    """500: the function failed, or API Gateway would not accept its answer. The message is for the stack's log."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request that an authorizer has to decide.

    Attributes:
        scope: the API and the stage: nothing is cached across them.
        function: name or ARN, with the stage's variables in it.
        identity: the value of each identity source, in order; None if the request lacks it.
        event: for the function.
        arn: of the method or route, as in `arn:aws:execute-api:…/prod/GET/orders`.
        keys: condition keys of the request.
    """

    scope: str
    function: str
    identity: tuple[str | None, ...]
    event: Mapping[str, Any]
    arn: str
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


async def authorize(authorizer: LambdaAuthorizer, question: Question, exchange: Exchange) -> Result:
    """Returns the result of an authorizer that allows a request.

    Raises:
        Unauthorized: an identity source has no value, a token does not match the pattern, or the function says so.
        AccessDenied: the result does not allow the request.
        AuthorizerFailed: there is no result.
    """
    _check_identity(authorizer, question.identity)
    key = _key(authorizer, question)
    result = exchange.authorizers.get(key, exchange.now) if authorizer.ttl else None
    cached = "" if result is None else " (a cached result)"
    if result is None:
        payload = await _run(authorizer, question, exchange)
        result = _parse(authorizer, payload)
        if authorizer.ttl and len(payload) <= MAX_RESULT:
            exchange.authorizers.put(key, result, exchange.now + timedelta(seconds=authorizer.ttl))
    _check(authorizer, result, question, cached)
    return result


def _check_identity(authorizer: LambdaAuthorizer, identity: tuple[str | None, ...]) -> None:
    for source, value in zip(authorizer.sources, identity, strict=True):
        if not value:
            raise Unauthorized(
                f"the request lacks the {source.described}, an identity source of the authorizer {authorizer.name}, "
                "which was not run. Fix: send it"
            )
    if authorizer.pattern is not None and not _matches(authorizer.pattern, identity[0] or ""):
        raise Unauthorized(
            f"the {authorizer.sources[0].described} does not match the IdentityValidationExpression "
            f"{authorizer.pattern!r} of the authorizer {authorizer.name}, which was not run"
        )


def _matches(pattern: str, text: str) -> bool:
    """Whether a token matches. A pattern that Python cannot read, or that is very long, matches nothing."""
    if len(pattern) > _LONGEST_PATTERN:
        return False
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False


def _key(authorizer: LambdaAuthorizer, question: Question) -> str:
    """The key of a cached result. Every part is a string of its own, so that no two requests share one (trap D8)."""
    parts = [question.scope, authorizer.name, question.function, *question.identity]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


async def _run(authorizer: LambdaAuthorizer, question: Question, exchange: Exchange) -> bytes:
    name = f"the authorizer {authorizer.name}"
    try:
        result = await exchange.invoke(question.function, to_json(question.event), target=False)
    except LambdaError as error:
        raise AuthorizerFailed(f"Lambda refused to invoke {name} ({question.function}): {error}") from error
    if result.error is None:
        return result.payload
    if result.error_type_and_message()[1] == _UNAUTHORIZED:
        raise Unauthorized(f"{name} raised Unauthorized")
    raise AuthorizerFailed(f"{name} failed: {result.description}")


# ---- the answer of the function -------------------------------------------------------------------------------------


def _parse(authorizer: LambdaAuthorizer, payload: bytes) -> Result:
    def refuse(reason: str) -> AuthorizerFailed:
        return AuthorizerFailed(f"the answer of the authorizer {authorizer.name} is refused: {reason}")

    try:
        answer = json.loads(payload, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise refuse("it is not JSON") from error
    if not isinstance(answer, dict):
        raise refuse("it is not an object")
    context = answer.get("context")
    if context is None:
        context = {}
    if not isinstance(context, dict):
        raise refuse("context is not an object. Fix: return strings, numbers and booleans in it")
    if authorizer.simple:
        if not isinstance(answer.get("isAuthorized"), bool):
            raise refuse("isAuthorized is not true or false, and the API expects a simple response")
        return Result("", context, None, answer["isAuthorized"])
    nested = next((name for name, value in context.items() if not isinstance(value, str | int | float)), None)
    if nested is not None and authorizer.payload == "1.0":
        raise refuse(f"context.{nested} is not a string, a number or a boolean. Fix: make it a JSON string")
    if not isinstance(answer.get("principalId"), str):
        raise refuse("principalId is not a string. Fix: return one, as in 'user'")
    try:
        statements = read_policy(answer.get("policyDocument"))
    except BadPolicy as error:
        raise refuse(f"policyDocument: {error}") from error
    return Result(answer["principalId"], context, tuple(replace(one, principals=_EVERYBODY) for one in statements))


def _refuse_constant(name: str) -> NoReturn:
    """Refuses `NaN` and `Infinity`, which JSON does not have: `NaN` would become a tenant of this name."""
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """A number. `1e999` would become a tenant `inf`."""
    number = float(text)
    return number if math.isfinite(number) else _refuse_constant(text)


def _check(authorizer: LambdaAuthorizer, result: Result, question: Question, cached: str) -> None:
    name = f"the authorizer {authorizer.name}{cached}"
    if result.statements is None:
        if not result.authorized:
            raise AccessDenied(f"{name} answered isAuthorized: false", explicit=True)
        return
    decision = decide(
        result.statements, RequestContext(None, question.arn, question.keys, action=INVOKE, known=KNOWN_KEYS)
    )
    if decision.effect == "Deny":
        raise AccessDenied(f"{decision.which} in the policy of {name} denies {question.arn}", explicit=True)
    if decision.effect != "Allow":
        raise AccessDenied(f"no statement in the policy of {name} allows {question.arn}", explicit=False)
