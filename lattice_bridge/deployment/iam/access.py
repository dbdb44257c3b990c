"""Access: who may invoke a function or assume a role, and what a role may do, as `check` and `doctor` both judge it.

Rule: a statement is as bad as the worst that it allows. What is not known never counts as granted to the bridge, and
never as harmless in the hands of another principal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from lattice_bridge.deployment.iam.policy import INVOKE, READ_ACTIONS, Statement, is_pattern

LATTICE: Final = "vpc-lattice.amazonaws.com"
LAMBDA: Final = "lambda.amazonaws.com"
ASSUME: Final = "sts:AssumeRole"
"""Lambda's call."""
ASSUMES: Final = (ASSUME, "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity")

# ---- what a role may do ---------------------------------------------------------------------------------------------

Grant = Literal["allowed", "conditional", "absent", "denied"]


def granted(statements: Iterable[Statement], action: str, resource: str) -> Grant:
    """Combines the statements of a role's policies for one action on one resource."""
    return grant_of((one, one.is_about(action, resource)) for one in statements)


def grant_of(statements: Iterable[tuple[Statement, bool | None]]) -> Grant:
    """Combines statements for one access, each with whether it is about that access; None if it may be.

    `conditional`: a condition, or something that is not known, decides. Neither is evaluated.
    """
    about = [(found, is_about and not found.conditions) for found, is_about in statements if is_about is not False]
    possible = {found.effect for found, _certain in about}
    certain = {found.effect for found, is_certain in about if is_certain}
    if "Deny" in certain:
        return "denied"
    if "Allow" not in possible:
        return "absent"
    return "allowed" if "Allow" in certain and "Deny" not in possible else "conditional"


# ---- who may reach a function or a role -----------------------------------------------------------------------------

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Permitted:
    """The principals and actions that a policy is meant to allow.

    Attributes:
        principals: (kind, name) of each.
        accounts: the operator's own: other principals of these are a warning. All others are an error.
        actions: the beginning of the permitted actions, in lower case.
    """

    principals: frozenset[tuple[str, str]]
    accounts: frozenset[str] = frozenset()
    actions: str = "lambda:invoke"


def unexpected(statement: Statement, permitted: Permitted) -> list[tuple[str, Severity]]:
    """The principals that a statement allows more than is permitted, each with how bad that is.

    Empty if the statement denies, allows the permitted only, or allows only reading.
    """
    if statement.effect == "Deny" or statement.only_reads:
        return []
    if statement.all_but:
        return [(f"everyone but {', '.join(name for _kind, name in statement.principals)}", "error")]
    principals = list(statement.principals)
    if has_only(statement, permitted.actions):
        arns = statement.values("aws:principalarn") or ()
        is_pinned = bool(arns) and all(("AWS", arn.text) in permitted.principals for arn in arns)
        principals = [
            one for one in principals if one not in permitted.principals and not (one[0] == "*" and is_pinned)
        ]
    return [(name, "warning" if _is_own(kind, name, statement, permitted) else "error") for kind, name in principals]


def severity(statement: Statement, permitted: Permitted) -> Severity | None:
    """How bad it is what a statement allows; None if it allows the permitted only, or only reading."""
    levels = [level for _name, level in unexpected(statement, permitted)]
    return "error" if "error" in levels else "warning" if levels else None


def has_only(statement: Statement, actions: str) -> bool:
    """Whether all actions of a statement begin as given, or only read."""
    return statement.not_actions is None and all(
        one.lower().startswith((actions, *READ_ACTIONS)) for one in statement.actions
    )


def _is_own(kind: str, name: str, statement: Statement, permitted: Permitted) -> bool:
    """Whether every caller that a principal includes is of an own account."""

    def own(key: str) -> bool:
        """Each value that a condition allows for the key is of an own account."""
        values = statement.values(key)
        return values is not None and all(account_of(value.text) in permitted.accounts for value in values)

    if kind == "Federated":
        return False  # an identity provider speaks for all its users, which may be all of GitHub
    if kind == "Service":
        return own("aws:sourcearn") or own("aws:sourceaccount")
    if kind == "*":
        by_source = own("aws:sourcearn") and own("aws:sourceaccount")
        return own("aws:principalarn") or own("aws:principalaccount") or by_source
    return account_of(name) in permitted.accounts


def account_of(text: str) -> str | None:
    """The account of an ARN, or of a principal that is an account's number; None where it may be any account."""
    *place, rest = text.split(":", 5)
    if not place:
        return rest if rest.isdigit() else None
    return None if len(place) < 5 or is_pattern("".join(place)) else place[4]


def is_for_role(statement: Statement, role: str) -> bool:
    """Whether a resource policy's statement is about Invoke and for the role: by its ARN, its account, or everyone."""
    account = role.split(":")[4]
    root = f"{role.partition('::')[0]}::{account}:root"
    named = any(name in ("*", role, account, root) for _kind, name in statement.principals)
    return statement.names_action(INVOKE) and named is not statement.all_but


# ---- whether Lattice may reach a function ---------------------------------------------------------------------------

_INCLUDE_LATTICE: Final = frozenset({("Service", LATTICE), ("Service", "*"), ("*", "*")})


def includes_lattice(statement: Statement) -> bool:
    """Whether Lattice is among the principals of a statement."""
    return statement.all_but or bool(_INCLUDE_LATTICE & set(statement.principals))


def _keys(group: str) -> dict[str, str]:
    """The condition keys of a request that Lattice sends for a target group."""
    return {"aws:sourcearn": group, "aws:sourceaccount": account_of(group) or ""}


def may_admit_group(statement: Statement, group: str) -> bool:
    """Whether a statement may allow Lattice to invoke for a target group: no condition is known to exclude it."""
    if statement.effect == "Deny" or not statement.names_action(INVOKE):
        return False
    return includes_lattice(statement) and statement.may_hold_for(_keys(group))


def admits_group(statement: Statement, group: str) -> bool:
    """Whether a statement allows Lattice by name to invoke for a target group, with conditions on its ARN and account
    only."""
    named = ("Service", LATTICE) in statement.principals and not statement.all_but
    return named and may_admit_group(statement, group) and statement.holds_for(_keys(group))
