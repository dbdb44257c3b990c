"""The role that the bridge runs as: the permissions that it needs, and those that it must not have.

Rule: a condition or a policy variable is reported as one, and never guessed. Service control policies and session
policies cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.deployment.doctor.facts import Configuration, Deployment, Function, Read, RolePolicies, Unread
from lattice_bridge.deployment.doctor.findings import Finding, Level, listed, unread_finding
from lattice_bridge.deployment.doctor.sources import lines_of
from lattice_bridge.deployment.iam.access import Grant, granted, is_for_role
from lattice_bridge.deployment.iam.policy import INVOKE, Statement, covers
from lattice_bridge.deployment.sources.judge import rights_of

# ---- findings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Need:
    """An action of the bridge on a resource. `written` is the resource as a policy names it."""

    action: str
    resource: str
    written: str


def needs_of(deployment: Deployment, configuration: Configuration, function: Function) -> tuple[Need, ...]:
    """Every action that the bridge takes with its configuration."""
    name = deployment.bridge.name
    here = f"{name.region}:{name.account}"
    backends = dict.fromkeys(one.function.name.qualified for one in deployment.behind)
    needs = [(INVOKE, arn) for arn in backends]
    needs += [right for line in lines_of(deployment, configuration) for right in rights_of(line)]
    place = function.variables.get(CONFIG_VARIABLE, "")
    if place.startswith("s3://"):
        needs.append(("s3:GetObject", f"arn:{name.partition}:s3:::{place.removeprefix('s3://')}"))
    if place.startswith("ssm:"):
        parameter = place.removeprefix("ssm:")
        needs.append(("ssm:GetParameter", f"arn:{name.partition}:ssm:{here}:parameter{parameter}"))
    if table := configuration.table:
        arn = table if ":" in table else f"arn:{name.partition}:dynamodb:{here}:table/{table}"
        needs.append(("dynamodb:GetItem", arn))
    group = f"arn:{name.partition}:logs:{here}:log-group:{function.log_group}"
    log = Need("logs:PutLogEvents", f"{group}:log-stream:any", f"{group}:*")
    return (*dict.fromkeys(Need(action, arn, arn) for action, arn in needs), log)


def role_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Compares each role that the bridge runs as with the actions that the bridge takes."""
    done: set[tuple[str, tuple[Need, ...]]] = set()
    for one in deployment.all_serving:
        if isinstance(one.configuration, Function):  # otherwise the finding about the function says it
            role, needs = one.configuration.role, needs_of(deployment, configuration, one.configuration)
            if (role, needs) not in done:
                done.add((role, needs))
                yield from _policy_findings(role, needs, one.role_policies, deployment)


def _policy_findings(
    role: str, needs: tuple[Need, ...], policies: Read[RolePolicies | None], deployment: Deployment
) -> Iterator[Finding]:
    subject, expected = f"role {role.rpartition('/')[2]}", f"{INVOKE} on the backends"
    if policies is None:
        fix = "create the role again, or give the function another one"
        yield Finding("error", subject, "no such role: the bridge cannot run", "a role that exists", fix)
    elif isinstance(policies, Unread):
        yield unread_finding(subject, policies, expected)
    elif isinstance(policies.statements, Unread):
        yield unread_finding(subject, policies.statements, expected)
    else:
        if isinstance(policies.boundary, Unread):
            expected = "a permissions boundary that allows what the bridge does"
            yield unread_finding(subject, policies.boundary, expected)
        for need in needs:
            grants = [granted(policies.statements, need.action, need.resource)]
            if isinstance(policies.boundary, tuple):
                grants.append(granted(policies.boundary, need.action, need.resource))
            yield _need_finding(subject, role, need, grants, deployment)
        yield from _excess_findings(subject, needs, policies.statements, deployment)


def _need_finding(subject: str, role: str, need: Need, grants: list[Grant], deployment: Deployment) -> Finding:
    """Judges one action. `grants` are of the role's own policies, and of its permissions boundary if it is known."""
    own, *bounded = grants
    expected = f"{need.action} on {need.written}"
    if own == "denied":
        fix = f"remove the Deny of {need.action} from the policies of the role"
        return Finding("error", subject, "denied by a statement of its own policies", expected, fix)
    if own == "absent":
        level, actual = _without_own_policy(role, need, deployment)
        return Finding(level, subject, actual, expected, f"allow {expected} in a policy of the role")
    if "absent" in bounded or "denied" in bounded:
        fix = f"allow {expected} in the permissions boundary, or give the role another one"
        return Finding("error", subject, "not within the permissions boundary", expected, fix)
    conditional = "conditional" in grants
    actual = "allowed under a condition or with a variable, which is not evaluated" if conditional else "allowed"
    return Finding("ok", subject, actual, expected)


def _without_own_policy(role: str, need: Need, deployment: Deployment) -> tuple[Level, str]:
    """The level and text if no policy of the role allows an action. Within one account, the function's resource policy
    is enough if it names the role or everyone. If it names the account, it leaves the decision to the role's policies.
    """
    statements = next(
        (
            function.own_policy
            for function in (one.function for one in deployment.behind)
            if need.action == INVOKE and function.name.qualified == need.resource
            if function.name.account == role.split(":")[4]
        ),
        None,
    )
    if isinstance(statements, Unread):
        return "error", "not allowed by its own policies; the function's policy, which may allow it, could not be read"
    names = {("AWS", role), ("*", "*")}
    allowing = [
        one
        for one in statements or ()
        if one.effect == "Allow" and is_for_role(one, role) and (one.all_but or names & set(one.principals))
    ]
    if not allowing:
        return "error", "not allowed"
    if all(one.conditions or one.all_but for one in allowing):
        return "error", "not allowed by its own policies, and by the function's policy only under a condition"
    return "warning", "allowed only by the function's own policy"


_POWERS: Final = (
    *("lambda:InvokeFunctionUrl", "lambda:UpdateFunctionCode", "lambda:AddPermission"),
    *("iam:PutRolePolicy", "iam:PassRole", "sts:AssumeRole"),
)
"""Permissions that a role can turn into more permissions. A policy that allows a whole service allows one of these."""
_ALL_BUT: Final = "everything but some"


def _excess_findings(
    subject: str, needs: tuple[Need, ...], statements: tuple[Statement, ...], deployment: Deployment
) -> Iterator[Finding]:
    """The permissions that the bridge does not use. They are what an attacker gets who takes the bridge over."""
    allowing = [found for found in statements if found.effect == "Allow"]
    backends = [need.resource for need in needs if need.action == INVOKE]
    resources = [
        resource
        for found in allowing
        if found.names_action(INVOKE)
        for resource in (found.resources if found.not_resources is None else (_ALL_BUT,))
    ]
    if beyond := [one for one in dict.fromkeys(resources) if one not in backends]:
        functions = f"{deployment.bridge.name.arn.rpartition(':')[0]}:"
        everything = any(one == _ALL_BUT or covers(one, functions) for one in beyond)
        fix = f"allow {INVOKE} on {listed(backends, len(backends))}, then remove the wider statement"
        expected = f"{INVOKE} on the aliases of the backends only"
        yield Finding("error" if everything else "warning", subject, f"may invoke {listed(beyond)}", expected, fix)
    powers = [power for power in _POWERS if any(one.names_action(power) for one in allowing)]
    if powers:
        names = listed(powers, len(powers))
        expected = "permissions to invoke, to read the configuration and to write the log only"
        yield Finding("warning", subject, f"may call {names}", expected, f"remove {names} from its policies")
