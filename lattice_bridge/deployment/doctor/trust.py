"""Who may assume the role that the bridge runs as.

Rule: whoever assumes it invokes the backends as the bridge does, as any tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.doctor.doors import Own, by_sid, standing, whom
from lattice_bridge.deployment.doctor.facts import Deployed
from lattice_bridge.deployment.doctor.findings import Finding, Read, Shell, Unread, option
from lattice_bridge.deployment.iam.policy import Statement

_LAMBDA: Final = ("Service", "lambda.amazonaws.com")
_ASSUME: Final = "sts:AssumeRole"
"""What Lambda does."""
_ASSUMES: Final = (_ASSUME, "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity")


def trust_findings(
    role: str, trust: Read[tuple[Statement, ...]], deployed: Deployed, shell: Shell
) -> Iterator[Finding]:
    """A line for each statement of its trust policy that lets in more than Lambda.

    Args:
        role: its name.
        trust: the statements.
    """
    subject, wanted = f"trust of role {role}", f"{_LAMBDA[1]} alone may assume it"
    look = shell.aws("iam", "get-role", *option("--role-name", role), "--query", "Role.AssumeRolePolicyDocument")
    if isinstance(trust, Unread):
        yield trust.finding(subject, wanted)
        return
    own = Own(frozenset({_LAMBDA}), frozenset({deployed.account}), "sts:")
    about = [one for one in trust if one.effect == "Allow" and any(map(one.names_action, _ASSUMES))]
    found = [(level, one) for one in about if (level := standing(one, own)) is not None]
    for level, one in found:
        text = f"{whom(one, own)} may assume it, and is any tenant of every backend{by_sid(one)}"
        yield Finding(level, subject, text, wanted, look)
    denied = [one for one in trust if one.effect == "Deny" and one.names_action(_ASSUME) and _is_for_lambda(one)]
    for one in denied:
        text = "under a condition, which is not looked into" if one.conditions else "and the bridge cannot run"
        level = "warning" if one.conditions else "error"
        yield Finding(level, subject, f"Lambda is denied to assume it, {text}{by_sid(one)}", wanted, look)
    if not any(_LAMBDA in one.principals and one.names_action(_ASSUME) for one in about):
        yield Finding("error", subject, "Lambda may not assume it: the bridge cannot run", wanted, look)
    elif not found and not denied:
        yield Finding("ok", subject, f"{_LAMBDA[1]} may assume it", wanted)


def _is_for_lambda(statement: Statement) -> bool:
    """By its name, or as one of everybody."""
    return bool({_LAMBDA, ("Service", "*"), ("*", "*")} & set(statement.principals)) is not statement.all_but
