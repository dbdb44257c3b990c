"""Who may invoke functions through the local Lambda API: people, and the functions themselves.

Rule: these keys open nothing but this machine's stack. They are public, and a signature with one proves no more than
that the client signs as Lambda wants it: a signer that is wrong fails here, and not first on the day of deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A pair of keys.

    Attributes:
        access_key, secret_key: as in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
        token: that has to come with them, as in AWS_SESSION_TOKEN; None for keys that need none. One that comes all
            the same is not looked at: it may be left over in somebody's shell.
    """

    access_key: str
    secret_key: str
    token: str | None = None


PERSON: Final = LocalKey("local", "local")
EXECUTION_ROLE: Final = LocalKey("LOCALEXECUTIONROLE", "local", "local")
KEYS: Final[Mapping[str, LocalKey]] = {key.access_key: key for key in (PERSON, EXECUTION_ROLE)}
