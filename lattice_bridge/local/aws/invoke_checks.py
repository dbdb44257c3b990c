"""Checks an Invoke request as Lambda does, before any function runs.

Rule: the local stack and FakeLambda both call these functions, so they refuse the same requests with the same
messages. The messages about tenancy are AWS's own, as SAM CLI repeats them. Lambda's grammar of tenant ids allows
spaces, which the bridge refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NoReturn

from lattice_bridge.formats.payload import ASYNC_LIMIT, SYNC_LIMIT

InvocationType = Literal["RequestResponse", "Event", "DryRun"]

STATUS: Final[Mapping[InvocationType, int]] = {"RequestResponse": 200, "Event": 202, "DryRun": 204}
"""Invocation type → HTTP status of an accepted request."""

MISSING: Final = (
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)
UNWANTED: Final = (
    "The invoked function is not enabled with tenancy configuration. "
    "Remove the tenant ID from your request and try again."
)
MALFORMED: Final = "Value at 'tenantId' failed to satisfy constraint: [a-zA-Z0-9\\._:\\/=+\\-@ ]+, 1 to 256 characters"

_TENANT: Final = re.compile(r"[a-zA-Z0-9._:/=+\-@ ]{1,256}")
_NAME: Final = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]):)?(?:(?P<account>[0-9]{12}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)


class LambdaError(Exception):
    """An invocation that Lambda refuses.

    Attributes:
        status: of the HTTP response.
        code: the value of `X-Amzn-ErrorType`.
        reason: of a throttle, or None.
    """

    def __init__(self, status: int, code: str, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FunctionName:
    """The parts of a function's name, partial ARN or ARN; a part that is absent is None."""

    region: str | None
    account: str | None
    name: str
    qualifier: str | None


@lru_cache(64)
def parse_function_name(text: str) -> FunctionName:
    """Parses a function's name, partial ARN or ARN, with an optional qualifier.

    >>> parse_function_name("function:orders:live")
    FunctionName(region=None, account=None, name='orders', qualifier='live')

    Raises:
        LambdaError: 400, none of these forms.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise LambdaError(400, "ValidationException", f"{text!r} is not a function name or ARN")
    return FunctionName(**match.groupdict())


def parse_qualifier(query: str | None) -> str | None:
    """Returns the value of the query's `Qualifier`, or None if it is absent.

    Raises:
        LambdaError: 400, empty.
    """
    if query == "":
        raise LambdaError(400, "ValidationException", "Value '' at 'qualifier' failed to satisfy constraint")
    return query


def chosen_qualifier(function: FunctionName, query: str | None) -> str | None:
    """Returns the qualifier of the name, or the one of the query.

    Raises:
        LambdaError: 400, the two differ.
    """
    if None not in (function.qualifier, query) and function.qualifier != query:
        message = "The derived qualifier from the function name does not match the specified qualifier."
        raise LambdaError(400, "InvalidParameterValueException", message)
    return function.qualifier or query


def parse_invocation_type(header: str) -> InvocationType:
    """Parses the value of `X-Amz-Invocation-Type`.

    Raises:
        LambdaError: 400, unknown.
    """
    for known in STATUS:
        if header == known:
            return known
    message = f"InvocationType {header!r} is not one of {', '.join(STATUS)}"
    raise LambdaError(400, "InvalidParameterValueException", message)


def single_tenant(headers: Sequence[str]) -> str | None:
    """Returns the only value of `X-Amz-Tenant-Id`, or None if it is absent.

    Raises:
        LambdaError: 400, it is repeated.
    """
    if len(headers) > 1:
        raise LambdaError(400, "InvalidParameterValueException", "X-Amz-Tenant-Id occurs more than once")
    return headers[0] if headers else None


def check_tenant(isolated: bool | None, tenant: str | None) -> None:
    """Checks the tenant id of an invocation, or its absence.

    Args:
        isolated: whether the function has tenant isolation; None skips this check.
        tenant: as sent, or None.

    Raises:
        LambdaError: 400, missing, not wanted, or malformed.
    """
    if isolated is True and tenant is None:
        raise LambdaError(400, "InvalidParameterValueException", MISSING)
    if isolated is False and tenant is not None:
        raise LambdaError(400, "InvalidParameterValueException", UNWANTED)
    if tenant is not None and _TENANT.fullmatch(tenant) is None:
        raise LambdaError(400, "ValidationException", MALFORMED)


def is_about_the_tenant(error: LambdaError) -> bool:
    """Whether Lambda refused an invocation for its tenant id, or for the lack of one."""
    return str(error) in (MISSING, UNWANTED, MALFORMED)


def parse_payload(payload: bytes, invocation_type: InvocationType) -> Any:
    """Parses the payload of an invocation as JSON. An empty payload is `{}`.

    Raises:
        LambdaError: 413, larger than Lambda's limit for this invocation type; 400, not JSON.
    """
    limit = ASYNC_LIMIT if invocation_type == "Event" else SYNC_LIMIT
    if len(payload) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise LambdaError(413, "RequestTooLargeException", message)
    try:
        return _STRICT.decode((payload or b"{}").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {type(error).__name__}"
        raise LambdaError(400, "InvalidRequestContentException", message) from error


def _refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity, which Python's parser accepts, are not JSON."""
    raise ValueError(f"{name} is not JSON")


_STRICT: Final = json.JSONDecoder(parse_constant=_refuse_constant)
