"""A Lambda authorizer of API Gateway: values only. REST APIs and HTTP APIs have the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lattice_bridge.local.plan.parameters import Source


@dataclass(frozen=True, slots=True)
class LambdaAuthorizer:
    """A Lambda authorizer, of a REST API or an HTTP API.

    Attributes:
        name: in the API.
        function: name or ARN; it may contain `${stageVariables.NAME}`.
        kind: `token` if its event contains one header, `request` if it contains the whole request.
        sources: identity sources. If one has no value, the request is refused, and the function does not run.
        pattern: the expression that a token must match; None for any token.
        ttl: seconds that a result is cached; 0 for none.
        payload: the version of the event, `1.0` or `2.0`.
        simple: whether the function answers with `isAuthorized` in place of a policy.
    """

    name: str
    function: str
    kind: Literal["token", "request"] = "request"
    sources: tuple[Source, ...] = ()
    pattern: str | None = None
    ttl: float = 300.0
    payload: Literal["1.0", "2.0"] = "1.0"
    simple: bool = False
