"""The role that the bridge runs as: what it needs, and what it has no need of.

Rule: service control policies, session policies and what conditions come to cannot be seen from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.deployment.doctor.configuration import Configured
from lattice_bridge.deployment.doctor.doors import is_for_role
from lattice_bridge.deployment.doctor.facts import Deployed, Function, Rights
from lattice_bridge.deployment.doctor.findings import Finding, Level, Read, Shell, Unread, free_name, listed, option
from lattice_bridge.deployment.doctor.granted import granted
from lattice_bridge.deployment.doctor.trust import trust_findings
from lattice_bridge.deployment.iam.pattern import covers
from lattice_bridge.deployment.iam.policy import INVOKE, Statement


@dataclass(frozen=True, slots=True)
class Need:
    """An action that the bridge takes on a resource. `written` is how a policy names it, if that is another way."""

    action: str
    resource: str
    written: str | None = None


def needs_of(deployed: Deployed, configured: Configured, function: Function) -> list[Need]:
    """Everything that the bridge does, as its configuration has it."""
    partition, region, account = (deployed.bridge.arn.split(":")[at] for at in (1, 3, 4))
    here = f"{region}:{account}"
    group = f"arn:{partition}:logs:{here}:log-group:{function.log_group}"
    needs = [Need(INVOKE, arn) for arn in dict.fromkeys(found.name.qualified for found in deployed.backends)]
    place = function.variables.get(CONFIG_VARIABLE, "")
    if place.startswith("s3://"):
        needs.append(Need("s3:GetObject", f"arn:{partition}:s3:::{place.removeprefix('s3://')}"))
    if place.startswith("ssm:"):
        needs.append(Need("ssm:GetParameter", f"arn:{partition}:ssm:{here}:parameter{place.removeprefix('ssm:')}"))
    if configured.table:
        table = configured.table
        needs.append(
            Need("dynamodb:GetItem", table if ":" in table else f"arn:{partition}:dynamodb:{here}:table/{table}")
        )
    needs.append(Need("logs:PutLogEvents", f"{group}:log-stream:any", f"{group}:*"))
    return needs


def role_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """Of each role that the bridge runs as: whether it may do all that it needs, whether it may invoke more than the
    backends, and who may assume it."""
    said: set[tuple[str, tuple[Need, ...]]] = set()
    for function, rights in (
        (deployed.function, deployed.rights),
        *((one.function, one.rights) for one in deployed.running),
    ):
        if not isinstance(function, Function):
            continue  # said of the function
        needs = needs_of(deployed, configured, function)
        if (function.role, tuple(needs)) not in said:
            said.add((function.role, tuple(needs)))
            yield from _of_role(function.role, needs, rights, deployed, shell)


def _of_role(
    arn: str, needs: list[Need], rights: Read[Rights | None], deployed: Deployed, shell: Shell
) -> Iterator[Finding]:
    role = arn.rpartition("/")[2]
    if rights is None:
        look = shell.aws("iam", "get-role", *option("--role-name", role))
        yield Finding("error", f"role {role}", "no such role: the bridge cannot run", "there", look)
        return
    if isinstance(rights, Unread):
        yield rights.finding(f"role {role}", f"{INVOKE} on the backends")
        return
    if isinstance(rights.statements, Unread):
        yield rights.statements.finding(f"role {role}", f"{INVOKE} on the backends")
    else:
        yield from _need_findings(arn, needs, rights.statements, rights, deployed, shell)
        yield from _excess_findings(role, needs, rights.statements, rights, deployed, shell)
        yield from _power_findings(role, rights.statements, shell)
    yield from trust_findings(role, rights.trust, deployed, shell)


def _need_findings(
    arn: str, needs: list[Need], statements: tuple[Statement, ...], rights: Rights, deployed: Deployed, shell: Shell
) -> Iterator[Finding]:
    role = arn.rpartition("/")[2]
    if isinstance(rights.boundary, Unread):
        yield rights.boundary.finding(f"role {role}", "a permissions boundary that allows what the bridge does")
    for need in needs:
        subject = f"role {role}"
        wanted = f"{need.action} on {need.written or need.resource}"
        grants = [granted(statements, need.action, need.resource)]
        if isinstance(rights.boundary, tuple):
            grants.append(granted(rights.boundary, need.action, need.resource))
        if grants[0] in ("allowed", "conditional") and grants[-1] in ("absent", "denied"):
            look = shell.aws("iam", "get-role", *option("--role-name", role), "--query", "Role.PermissionsBoundary")
            yield Finding("error", subject, "not within the permissions boundary", wanted, look)
        elif grants[0] == "denied":
            look = shell.aws("iam", "list-role-policies", *option("--role-name", role))
            yield Finding("error", subject, "denied by a statement of its own", wanted, look)
        elif grants[0] == "absent":
            level, found = _otherwise(arn, need, deployed)
            yield Finding(level, subject, found, wanted, _put(role, needs, rights, shell))
        elif "conditional" in grants:
            yield Finding("ok", subject, "allowed under a condition or with a variable, not looked into", wanted)
        else:
            yield Finding("ok", subject, "allowed", wanted)


def _otherwise(role: str, need: Need, deployed: Deployed) -> tuple[Level, str]:
    """How bad it is that a role's own policies do not allow something: within one account, a function's own policy is
    enough if it names the role, or everybody. Where it names the account, it leaves it to the role's policies."""
    account = role.split(":")[4]
    doors = [
        door
        for backend in deployed.backends
        if need.action == INVOKE and backend.name.qualified == need.resource and backend.name.account == account
        for door in backend.doors
        if door.name == backend.name.admitted_as
    ]
    if any(isinstance(door.statements, Unread) for door in doors):
        return "error", "not allowed by its own policies; the function's policy, which might, could not be read"
    statements = [one for door in doors if not isinstance(door.statements, Unread) for one in door.statements]
    names = {("AWS", role), ("*", "*")}
    letting = [one for one in statements if one.effect == "Allow" and is_for_role(one, role)]
    letting = [one for one in letting if one.all_but or names & set(one.principals)]
    if not letting:
        return "error", "not allowed"
    if all(one.conditions or one.all_but for one in letting):
        return "error", "not allowed by its own policies, and by the function's own under a condition alone"
    return "warning", "allowed by the function's own policy alone"


def _put(role: str, needs: list[Need], rights: Rights, shell: Shell) -> str:
    """One inline policy with all that the bridge does, so that the command is the same for whichever is missing; under
    a name that no other has, since a put replaces the one that has it."""
    by_action: dict[str, list[str]] = {}
    for need in needs:
        by_action.setdefault(need.action, []).append(need.written or need.resource)
    log = by_action.pop("logs:PutLogEvents", [])
    statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in by_action.items()]
    if log:
        both = ["logs:CreateLogStream", "logs:PutLogEvents"]
        statements.append({"Effect": "Allow", "Action": both, "Resource": log})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    name = free_name("lattice-bridge", rights.inline)
    which = (*option("--role-name", role), "--policy-name", name, "--policy-document", policy)
    return shell.aws("iam", "put-role-policy", *which)


def _excess_findings(
    role: str, needs: list[Need], statements: tuple[Statement, ...], rights: Rights, deployed: Deployed, shell: Shell
) -> Iterator[Finding]:
    subject, wanted = f"role {role}", f"{INVOKE} on the backends' aliases alone"
    backends = [need.resource for need in needs if need.action == INVOKE]
    allowing = [found for found in statements if found.effect == "Allow" and found.names_action(INVOKE)]
    beyond = list(dict.fromkeys(on for found in allowing for on in _resources(found) if on not in backends))
    if beyond:
        wanted = f"{wanted}; once it is written so, the wider statement can go"
        functions = f"{deployed.bridge.arn.rpartition(':')[0]}:"
        everything = any(on == _ALL_BUT or covers(on, functions) for on in beyond)
        level: Level = "error" if everything else "warning"
        yield Finding(level, subject, f"may invoke {listed(beyond)}", wanted, _put(role, needs, rights, shell))


_ALL_BUT: Final = "everything but some"


def _resources(statement: Statement) -> tuple[str, ...]:
    return statement.resources if statement.not_resources is None else (_ALL_BUT,)


_POWERS: Final = (
    *("lambda:InvokeFunctionUrl", "lambda:UpdateFunctionCode", "lambda:AddPermission"),
    *("iam:PutRolePolicy", "iam:PassRole", "sts:AssumeRole"),
)
"""What turns into more than a role was given. Not all of it: whoever allows a whole service allows one of these."""


def _power_findings(role: str, statements: tuple[Statement, ...], shell: Shell) -> Iterator[Finding]:
    """The bridge does nothing of the kind, and whoever takes it over could."""
    allowing = [one for one in statements if one.effect == "Allow"]
    powers = [power for power in _POWERS if any(one.names_action(power) for one in allowing)]
    if powers:
        look = shell.aws("iam", "list-role-policies", *option("--role-name", role))
        wanted = "to invoke, to read its configuration and to write its log, and no more"
        yield Finding("warning", f"role {role}", f"may take {listed(powers, len(powers))}", wanted, look)
