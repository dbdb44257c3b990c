"""What doctor says: a line each, of what is, what should be, and the command that mends it.

Rule: values only. What could not be read is a line as well, and never a guess.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, TypeVar

Level = Literal["ok", "warning", "error", "unknown"]

LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "unknown", "ok")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        level: `ok`, `warning`, `error`; `unknown` where nobody could see.
        subject: what was looked at.
        found: what is.
        wanted: what should be.
        mend: the command that mends it, or what to change in a file; None where nothing is to be done.
        needs: the permission of a call that was denied or failed; None for all else.
    """

    level: Level
    subject: str
    found: str
    wanted: str
    mend: str | None = None
    needs: str | None = None

    @property
    def is_wrong(self) -> bool:
        """Something is not as it should be, or could not be read: nobody may take the stack for good."""
        return self.level == "error" or self.needs is not None


@dataclass(frozen=True, slots=True)
class Unread:
    """In the place of what could not be read.

    Attributes:
        permission: of the call: `lambda:GetPolicy`.
        resource: what it is needed on.
        cause: AWS's error code, or the exception's type; or in words why it was not asked for.
        elsewhere: it was not asked for, since it is of another account or region.
    """

    permission: str
    resource: str
    cause: str
    elsewhere: bool = False

    def finding(self, subject: str, wanted: str) -> Finding:
        """The line for it."""
        found = f"could not be read: {self.cause}"
        return Finding("unknown", subject, found, wanted, self._mend(), needs=self.permission)

    def _mend(self) -> str:
        if _DENIED.search(self.cause):
            return f"grant {self.permission} on {self.resource} to whoever runs doctor"
        if _LOGGED_OUT.search(self.cause):
            return "log in again: these credentials are not valid, or not any more"
        if self.elsewhere:
            return f"look at {self.resource} with credentials of its account, in its region"
        return f"try again: {self.permission} on {self.resource} was answered with {self.cause}"


_DENIED: Final = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|Forbidden")
_LOGGED_OUT: Final = re.compile(
    r"Expired|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|Signature|Credential"
)


T = TypeVar("T")
Read: TypeAlias = T | Unread


@dataclass(frozen=True, slots=True)
class Shell:
    """Writes commands as they are pasted: quoted, in the region and with the profile of this run."""

    region: str
    profile: str | None = None

    def aws(self, *words: str) -> str:
        """`aws WORDS --region … --profile …`."""
        profile = ("--profile", self.profile) if self.profile else ()
        return shlex.join(("aws", *words, "--region", self.region, *profile))

    def of_function(self, command: str, arn: str, *words: str) -> str:
        """`aws lambda COMMAND --function-name ARN WORDS …`, in the function's own region.

        The ARN, since a name alone would be for the function of that name in whatever account the command runs in.
        """
        return replace(self, region=arn.split(":")[3]).aws("lambda", *command.split(), "--function-name", arn, *words)


def option(name: str, value: str) -> tuple[str, ...]:
    """`--name value`; in one word where the value would be taken for an option."""
    return (f"{name}={value}",) if value.startswith("-") else (name, value)


def listed(texts: tuple[str, ...] | list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def free_name(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or with the first number behind it that nothing has yet."""
    return next(
        name for name in (wanted, *(f"{wanted}-{number + 2}" for number in range(len(taken)))) if name not in taken
    )
