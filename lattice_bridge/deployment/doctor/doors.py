"""Whom a function's resource policies let in, and to do what: one judge for the bridge and for its backends.

Rule: a statement is as bad as the worst that it lets in. Whoever may change a function may do all that it may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from lattice_bridge.deployment.doctor.facts import Alias, Door, Name
from lattice_bridge.deployment.doctor.findings import Finding, Read, Shell, Unread, listed
from lattice_bridge.deployment.iam.condition import Asked
from lattice_bridge.deployment.iam.pattern import is_pattern
from lattice_bridge.deployment.iam.policy import INVOKE, LOOKS, Statement

_INVOKES: Final = "lambda:invoke"
_SID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
"""What `--statement-id` takes, and cannot be taken for an option."""


@dataclass(frozen=True, slots=True)
class Own:
    """Who may be let in.

    Attributes:
        welcome: the principals that are meant to invoke it, and no more.
        accounts: one's own, whose other principals are worth a warning. Everybody else is an error.
        deeds: how the actions that they are welcome to begin, in lower case.
    """

    welcome: frozenset[tuple[str, str]]
    accounts: frozenset[str] = frozenset()
    deeds: str = _INVOKES


def standing(statement: Statement, own: Own) -> Literal["error", "warning"] | None:
    """How bad whom a statement lets in is; None if it lets in nobody but the welcome, or to look only."""
    if statement.effect == "Deny" or statement.only_looks:
        return None
    found = [_standing(*principal, statement, own) for principal in strangers(statement, own)]
    if statement.all_but or "error" in found:
        return "error"
    return "warning" if found else None


def strangers(statement: Statement, own: Own) -> list[tuple[str, str]]:
    """The principals of a statement that are not welcome to what it lets them do."""
    if not _only_takes(statement, own.deeds):
        return list(statement.principals)
    return [one for one in statement.principals if one not in own.welcome and not _is_pinned_to(statement, one, own)]


def _only_takes(statement: Statement, deeds: str) -> bool:
    """To look as well is no more."""
    return statement.not_actions is None and all(one.lower().startswith((deeds, *LOOKS)) for one in statement.actions)


def _is_pinned_to(statement: Statement, principal: tuple[str, str], own: Own) -> bool:
    """Everybody, under the condition of being somebody who is welcome."""
    arns = statement.values("aws:principalarn")
    return principal[0] == "*" and bool(arns) and all(("AWS", arn.text) in own.welcome for arn in arns or ())


def _standing(kind: str, name: str, statement: Statement, own: Own) -> Literal["error", "warning"]:
    source = _all_of(own, statement.values("aws:sourcearn")), _all_of(own, statement.values("aws:sourceaccount"))
    if kind == "Federated":
        return "error"  # a provider of one's own account speaks for whomever it has, and so may all of GitHub
    if kind == "Service":
        return "warning" if any(source) else "error"
    if kind == "*":
        caller = statement.values("aws:principalarn"), statement.values("aws:principalaccount")
        return "warning" if all(source) or any(_all_of(own, values) for values in caller) else "error"
    return "warning" if account_of(name) in own.accounts else "error"


def _all_of(own: Own, values: tuple[Asked, ...] | None) -> bool:
    """Each value is an ARN of one's own accounts, or one of them."""
    return values is not None and all(account_of(value.text) in own.accounts for value in values)


def account_of(text: str) -> str | None:
    """The account of an ARN, or of a principal that is an account's number; None where it could be any."""
    *place, rest = text.split(":", 5)
    if not place:
        return rest if rest.isdigit() else None
    return None if len(place) < 5 or is_pattern("".join(place)) else place[4]


def is_for_role(statement: Statement, role: str) -> bool:
    """It is about invoking, and for the role: by its ARN, its account, or as everybody."""
    account = role.split(":")[4]
    root = f"{role.partition('::')[0]}::{account}:root"
    named = any(name in ("*", role, account, root) for _kind, name in statement.principals)
    return statement.names_action(INVOKE) and named is not statement.all_but


# ---- in words -------------------------------------------------------------------------------------------------------


def whom(statement: Statement, own: Own) -> str:
    """The strangers that a statement lets in."""
    if statement.all_but:
        return f"everybody but {listed([name for _kind, name in statement.principals])}"
    return listed([name for _kind, name in strangers(statement, own)])


def deed(statement: Statement) -> str:
    """What it lets them do."""
    if statement.not_actions is not None:
        return f"do everything to it but {listed(statement.not_actions)}"
    return "invoke it" if _only_takes(statement, _INVOKES) else f"take {listed(statement.actions)} on it"


def by_sid(statement: Statement) -> str:
    """By which statement, if it has an id."""
    return f", by statement {statement.sid}" if statement.sid else ""


def remove(statement: Statement, name: Name, shell: Shell) -> str:
    """Takes a statement out of a name's policy; of one that cannot be named, shows the policy."""
    if not _SID.fullmatch(statement.sid):
        return show(name, shell)
    return shell.of_function("remove-permission", name.arn, *name.version, "--statement-id", statement.sid)


def show(name: Name, shell: Shell) -> str:
    """Prints a name's policy."""
    return shell.of_function("get-policy", name.arn, *name.version)


def unread_findings(
    name: Name, aliases: Read[tuple[Alias, ...]], doors: Iterable[Door], left: Read[int], wanted: str
) -> Iterator[Finding]:
    """Whose policies could not be read, or were not."""
    if isinstance(aliases, Unread):
        yield aliases.finding(f"aliases of {name.name}", "readable: each has a policy of its own")
    by_cause: dict[str, list[tuple[Name, Unread]]] = {}
    for door in doors:
        if isinstance(door.statements, Unread):
            by_cause.setdefault(door.statements.cause, []).append((door.name, door.statements))
    for (first, unread), *others in by_cause.values():
        if others:
            subject = f"invoke permission {first.short} and {len(others)} other names of it"
            yield replace(unread, resource=f"{name.arn}*").finding(subject, wanted)
        else:
            yield unread.finding(f"invoke permission {first.short}", wanted)
    subject = f"versions of {name.name}"
    if isinstance(left, Unread):
        yield left.finding(subject, "readable: each has a policy of its own")
    elif left:
        mend = "delete the versions that nothing uses; aws lambda get-policy shows who may invoke one"
        yield Finding("unknown", subject, f"{left} more, whose policies were not read", "none that nothing uses", mend)


def url_findings(name: Name, urls: Read[tuple[str, ...]], wanted: str, shell: Shell) -> Iterator[Finding]:
    """A line for each of a function's names that has a function URL."""
    subject = f"function URL {name.name}"
    if isinstance(urls, Unread):
        yield urls.finding(subject, wanted)
        return
    if not urls:
        yield Finding("ok", subject, "none", wanted)
    for arn in urls:
        one = Name(name.arn, arn.removeprefix(name.arn).removeprefix(":") or None)
        mend = shell.of_function("delete-function-url-config", one.arn, *one.version)
        yield Finding("error", subject, f"{one.short} has one", wanted, mend)
