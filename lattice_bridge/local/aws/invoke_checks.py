"""Checks an invocation's tenant id as Lambda does.

Rule: the local Lambda API and FakeLambda both call this, and so answer alike. The words of the first two are AWS's own,
as SAM CLI repeats them; Lambda's grammar allows spaces, which the bridge refuses.
"""

from __future__ import annotations

import re
from typing import Final

MISSING: Final = (
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)
UNWANTED: Final = (
    "The invoked function is not enabled with tenancy configuration. "
    "Remove the tenant ID from your request and try again."
)
MALFORMED: Final = "Value at 'tenantId' failed to satisfy constraint: [a-zA-Z0-9\\._:\\/=+\\-@ ]+, 1 to 256 characters"

_TENANT: Final = re.compile(r"[a-zA-Z0-9._:/=+\-@ ]{1,256}")


def tenancy_fault(isolated: bool | None, tenant: str | None) -> tuple[str, str] | None:
    """The code and the message of a 400; None if Lambda accepts the tenant id, or its absence.

    Args:
        isolated: whether the function has tenant isolation; None if that is not to be checked.
        tenant: as sent, or None.
    """
    if isolated is True and tenant is None:
        return "InvalidParameterValueException", MISSING
    if isolated is False and tenant is not None:
        return "InvalidParameterValueException", UNWANTED
    if tenant is not None and _TENANT.fullmatch(tenant) is None:
        return "ValidationException", MALFORMED
    return None
