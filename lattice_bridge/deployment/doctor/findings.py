"""What doctor says: a line each, of what is, what should be, and the command that mends it.

Rule: values only. What could not be read is a line as well, and never a guess.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, TypeVar

from lattice_bridge.config.backend import function_fault

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


_ARN: Final = r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(?:[0-9]{12})?:[A-Za-z0-9_+=,.@:/$-]+"
_ID: Final = rf"{_ARN}|[a-z0-9][a-z0-9-]*"
_VALUES: Final[Mapping[str, re.Pattern[str]]] = {
    option: re.compile(pattern)
    for option, pattern in {
        "--function-version": r"\$LATEST|[0-9]+",
        "--listener-identifier": _ID,
        "--log-group-name": r"[A-Za-z0-9_/.#-]{1,512}",
        "--name": r"(?:/[A-Za-z0-9_.-]+){1,15}|[A-Za-z0-9_-]{1,128}",
        "--principal": rf"{_ARN}|[a-z0-9.-]+",
        "--qualifier": r"\$LATEST|[A-Za-z0-9_-]{1,128}",
        "--region": r"[a-z0-9-]+",
        "--resource-identifier": _ID,
        "--role": _ARN,
        "--role-name": r"[A-Za-z0-9_+=,.@-]{1,128}",
        "--runtime": r"[a-z0-9.]+",
        "--service-identifier": _ID,
        "--source-arn": _ARN,
        "--statement-id": r"[A-Za-z0-9_-]{1,100}",
        "--target-group-identifier": _ID,
        "--targets": rf"id={_ARN}",
        "--user-name": r"[A-Za-z0-9_+=,.@-]{1,128}",
        "--uuid": r"[A-Za-z0-9-]{1,64}",
    }.items()
}
"""Option → the form that AWS accepts for its value. Of other options, the value has to be printable and no URL of a
file: see `_INTERPRETED`."""
_OPTION: Final = re.compile(r"--[a-z][a-z0-9-]*")
_INTERPRETED: Final = re.compile(r"(?:fileb?|https?)://|@", re.IGNORECASE)
"""What the AWS CLI, or another program, reads a file or a URL for: the value sent would be what is in it."""
_FLAGS: Final = frozenset({"--with-decryption"})
"""Options without a value."""
_OURS: Final = frozenset({"fileb://function.zip"})
"""Values that doctor itself writes, for what a person has to supply."""
_NO_COMMAND: Final = re.compile(r"no command is given: the value for (?:--[a-z0-9-]+|an argument) is malformed")


@dataclass(frozen=True, slots=True)
class Shell:
    """Writes commands as they are pasted: quoted, in the region and with the profile of this run.

    What AWS answered is not trusted: whoever may change one part of a stack must not choose what its operator runs. If
    a value is not what AWS takes in its place, or if the AWS CLI would read a file for it, there is no command.
    """

    region: str
    profile: str | None = None

    def aws(self, *words: str) -> str:
        """`aws WORDS --region … --profile …`; a sentence without the value if one of them is malformed."""
        profile = ("--profile", self.profile) if self.profile else ()
        every = (*words, "--region", self.region, *profile)
        malformed = _malformed(every)
        if malformed is not None:
            return f"no command is given: the value for {malformed} is malformed"
        return shlex.join(("aws", *every))

    def of_function(self, command: str, arn: str, *words: str) -> str:
        """`aws lambda COMMAND --function-name ARN WORDS …`, in the function's own region.

        The ARN, since a name alone would be for the function of that name in whatever account the command runs in.
        """
        return replace(self, region=arn.split(":")[3]).aws("lambda", *command.split(), "--function-name", arn, *words)


def _malformed(words: Sequence[str]) -> str | None:
    """The option whose value must not be in a command; None if all may be.

    A word after an option is its value, whatever it looks like.
    """
    option, needs_value = "an argument", False
    for word in words:
        joined, mark, value = word.partition("=")
        if not needs_value and _OPTION.fullmatch(word):
            option, needs_value = word, word not in _FLAGS
        elif not needs_value and mark and _OPTION.fullmatch(joined):
            option = joined
            if not _is_well_formed(option, value):
                return option
        else:
            needs_value = False
            if word.startswith("-") or not _is_well_formed(option, word):
                return option
    return None


def _is_well_formed(option: str, value: str) -> bool:
    if option == "--function-name":
        return function_fault(value) is None
    if option in _VALUES:
        return _VALUES[option].fullmatch(value) is not None
    plain = value.isprintable() and _INTERPRETED.match(value) is None
    return value in _OURS or (value != "" and plain)


def without_part(mend: str) -> str:
    """The fix of a finding. If one of its commands cannot be given, only the sentence that says so remains: half of the
    steps would be another change."""
    found = _NO_COMMAND.search(mend)
    return mend if found is None else found[0]


def option(name: str, value: str) -> tuple[str, ...]:
    """`--name value`; in one word where the value would be taken for an option."""
    return (f"{name}={value}",) if value.startswith("-") else (name, value)


def as_argument(path: str) -> str:
    """A file's path as a word of a command that cannot be taken for an option."""
    return f"./{path}" if path.startswith("-") else path


def listed(texts: tuple[str, ...] | list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def free_name(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or with the first number behind it that nothing has yet."""
    return next(
        name for name in (wanted, *(f"{wanted}-{number + 2}" for number in range(len(taken)))) if name not in taken
    )
