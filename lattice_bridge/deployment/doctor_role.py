"""The role that the bridge runs as: what it needs, and what it has no need of.

Rule: service control policies, session policies and what conditions come to cannot be seen from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lattice_bridge.deployment.doctor_config import Configured
from lattice_bridge.deployment.doctor_facts import Deployed, Function, Rights
from lattice_bridge.deployment.doctor_finding import Finding, Level, Read, Shell, Unread, free_name, listed
from lattice_bridge.deployment.doctor_policy import INVOKE, Statement, granted
from lattice_bridge.deployment.doctor_trust import trust_findings
from lattice_bridge.place import CONFIG_VARIABLE


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
            yield from _of_role(function.role.rpartition("/")[2], needs, rights, deployed, shell)


def _of_role(
    role: str, needs: list[Need], rights: Read[Rights | None], deployed: Deployed, shell: Shell
) -> Iterator[Finding]:
    if rights is None:
        look = shell.aws("iam", "get-role", "--role-name", role)
        yield Finding("error", f"role {role}", "no such role: the bridge cannot run", "there", look)
        return
    if isinstance(rights, Unread):
        yield rights.finding(f"role {role}", f"{INVOKE} on the backends")
        return
    if isinstance(rights.statements, Unread):
        yield rights.statements.finding(f"role {role}", f"{INVOKE} on the backends")
    else:
        yield from _need_findings(role, needs, rights.statements, rights, shell)
        yield from _excess_findings(role, needs, rights.statements, rights, shell)
    yield from trust_findings(role, rights.trust, deployed, shell)


def _need_findings(
    role: str, needs: list[Need], statements: tuple[Statement, ...], rights: Rights, shell: Shell
) -> Iterator[Finding]:
    if isinstance(rights.boundary, Unread):
        yield rights.boundary.finding(f"role {role}", "a permissions boundary that allows what the bridge does")
    for need in needs:
        subject = f"role {role}"
        wanted = f"{need.action} on {need.written or need.resource}"
        grants = [granted(statements, need.action, need.resource)]
        if isinstance(rights.boundary, tuple):
            grants.append(granted(rights.boundary, need.action, need.resource))
        if grants[0] in ("allowed", "conditional") and grants[-1] in ("absent", "denied"):
            look = shell.aws("iam", "get-role", "--role-name", role, "--query", "Role.PermissionsBoundary")
            yield Finding("error", subject, "not within the permissions boundary", wanted, look)
        elif grants[0] == "denied":
            look = shell.aws("iam", "list-role-policies", "--role-name", role)
            yield Finding("error", subject, "denied by a statement of its own", wanted, look)
        elif grants[0] == "absent":
            yield Finding("error", subject, "not allowed", wanted, _put(role, needs, rights, shell))
        elif "conditional" in grants:
            yield Finding("ok", subject, "allowed under a condition, which is not looked into", wanted)
        else:
            yield Finding("ok", subject, "allowed", wanted)


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
    which = ("--role-name", role, "--policy-name", name, "--policy-document", policy)
    return shell.aws("iam", "put-role-policy", *which)


def _excess_findings(
    role: str, needs: list[Need], statements: tuple[Statement, ...], rights: Rights, shell: Shell
) -> Iterator[Finding]:
    subject, wanted = f"role {role}", f"{INVOKE} on the backends' aliases alone"
    backends = [need.resource for need in needs if need.action == INVOKE]
    allowing = [found for found in statements if found.effect == "Allow" and found.names_action(INVOKE)]
    beyond = list(dict.fromkeys(on for found in allowing for on in _resources(found) if on not in backends))
    if beyond:
        wanted = f"{wanted}; once it is written so, the wider statement can go"
        level: Level = "error" if {"*", _ALL_BUT} & set(beyond) else "warning"
        yield Finding(level, subject, f"may invoke {listed(beyond)}", wanted, _put(role, needs, rights, shell))


_ALL_BUT: Final = "everything but some"


def _resources(statement: Statement) -> tuple[str, ...]:
    return statement.resources if statement.not_resources is None else (_ALL_BUT,)
