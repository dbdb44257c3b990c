"""A finding: one line that names what is, what is expected, and the fix.

Rule: a command is built only for one safe call whose values all have the form that AWS gives them. Otherwise
a principal that may change one part of a stack would choose what its operator runs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lattice_bridge.deployment.doctor.facts import FunctionName, Unread

Level = Literal["ok", "warning", "error", "unknown"]

LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "unknown", "ok")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of doctor.

    Attributes:
        level: `ok`, `warning` or `error`; `unknown` where nothing could be read.
        subject: the part of the stack that was checked.
        actual: what is.
        expected: what is expected.
        fix: an AWS CLI command, or a sentence that says what to change; None where nothing is to be changed.
        needs: the permission of a call that was denied or failed; None otherwise.
    """

    level: Level
    subject: str
    actual: str
    expected: str
    fix: str | None = None
    needs: str | None = None

    @property
    def is_wrong(self) -> bool:
        """The stack is not as expected, or a call failed, so it cannot be called correct."""
        return self.level == "error" or self.needs is not None


def unread_finding(subject: str, unread: Unread, expected: str) -> Finding:
    """The finding for a fact that could not be read."""
    actual = f"could not be read: {unread.cause}"
    return Finding("unknown", subject, actual, expected, _fix_of(unread), needs=unread.permission)


_DENIED: Final = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|Forbidden")
_LOGGED_OUT: Final = re.compile(
    r"Expired|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|Signature|Credential"
)


def _fix_of(unread: Unread) -> str:
    call = f"{unread.permission} on {unread.resource}"
    if _DENIED.search(unread.cause):
        return f"grant {call} to the role or user that runs doctor"
    if _LOGGED_OUT.search(unread.cause):
        return "log in again: the credentials are invalid or have expired"
    if unread.out_of_reach:
        return f"check {unread.resource} with credentials of its account, in its Region"
    return f"try again: {call} failed with {unread.cause}"


def listed(texts: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


# ---- commands -------------------------------------------------------------------------------------------------------

_ARN: Final = r"arn:aws[a-z-]*:%s:[a-z0-9-]+:[0-9]{12}:%s"
_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    option: re.compile(pattern)
    for option, pattern in {
        "--function-name": _ARN % ("lambda", "function:[A-Za-z0-9_-]{1,64}"),
        "--qualifier": r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}",
        "--region": r"[a-z][a-z0-9-]+",
        "--source-arn": _ARN % ("vpc-lattice", "targetgroup/tg-[0-9a-z]+"),
        "--statement-id": r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}",
        "--uuid": r"[0-9A-Za-z][0-9A-Za-z-]{0,63}",
    }.items()
}
"""Option → the form of its value. None begins with `-`, which is an option, or is a URL, which the AWS CLI reads."""


class Command(str):
    """A call of the AWS CLI, quoted for a shell."""

    __slots__ = ()

    def with_profile(self, profile: str) -> Command:
        return Command(f"{self} --profile {shlex.quote(profile)}")


def command(call: str, region: str, **values: str | None) -> str:
    """`aws CALL --name value … --region REGION`, as a `Command`. If a value does not have the form that AWS gives it,
    a sentence that names the option, and not the value.

    Args:
        call: service, operation and fixed options.
        region: that the call is for.
        values: by option, with `_` for `-`; None leaves an option out.
    """
    options = {f"--{name.replace('_', '-')}": value for name, value in {**values, "region": region}.items()}
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if not _FORMS[option].fullmatch(value):
            return f"no command is given: the value of {option} in AWS's answer is malformed"
    return Command(shlex.join(["aws", *call.split(), *(word for pair in given.items() for word in pair)]))


def function_command(call: str, name: FunctionName, **values: str) -> str:
    """A `command` for a function under one of its names. It names the ARN: a bare name would mean the function of that
    name in whichever account the command runs."""
    return command(call, name.region, function_name=name.arn, qualifier=name.qualifier, **values)
