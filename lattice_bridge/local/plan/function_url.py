"""Function URLs: values.

Rule: as the Lambda developer guide, "Control access to Lambda function URLs", describes it: whatever the AuthType is,
the function's resource policy must allow a caller of another account, and every caller if the AuthType is NONE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from lattice_bridge.local.plan.http_api import Cors
from lattice_bridge.local.plan.model import Route

INVOKE_URL: Final = "lambda:InvokeFunctionUrl"
INVOKE: Final = "lambda:InvokeFunction"
BOTH: Final = (INVOKE_URL, INVOKE)
"""Since October 2025, a caller of a new function URL needs both permissions."""

AuthType = Literal["AWS_IAM", "NONE"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission for a function URL: a statement of the function's resource policy.

    Attributes:
        name: the logical id of the permission.
        actions: of `BOTH`.
        principal: `*`, an account, or an ARN.
        organisation: the organisation to which the caller must belong; None for any.
    """

    name: str
    actions: frozenset[str]
    principal: str
    organisation: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    """A function URL.

    Attributes:
        id: in events and in its domain.
        name: its logical id.
        names: its host names, in lower case: the logical id, the id, its domain.
        domain: `ID.lambda-url.REGION.on.aws`.
        account: of the function.
        function: ARN, with a qualifier if it has one.
        auth_type: who may send requests.
        grants: of the function's resource policy.
        cors: None if the function answers for CORS.
    """

    id: str
    name: str
    names: tuple[str, ...]
    domain: str
    account: str
    function: str
    auth_type: AuthType
    grants: tuple[Grant, ...] = ()
    cors: Cors | None = None

    @property
    def kind(self) -> str:
        """The kind of way in, as messages name it."""
        return "function URL"

    @property
    def routes(self) -> tuple[Route, ...]:
        """One for all requests."""
        callers = "signed only" if self.auth_type == "AWS_IAM" else "anyone"
        return (Route("every path", (self.function,), event="2.0", callers=callers),)
