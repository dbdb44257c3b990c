"""The role that the bridge runs as: what it needs, and what it has no need of.

Rule: service control policies, session policies and what conditions come to cannot be seen from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from lattice_bridge.deployment.doctor_config import Configured
from lattice_bridge.deployment.doctor_facts import Deployed, Function, Rights
from lattice_bridge.deployment.doctor_finding import Finding, Shell, Unread, listed
from lattice_bridge.deployment.doctor_policy import INVOKE, Grant, Statement, granted
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
    """Whether the role may do each of the needs, and whether it may invoke more than the backends."""
    if isinstance(deployed.function, Unread):
        return  # said of the function
    role = deployed.function.role.rpartition("/")[2]
    if isinstance(deployed.rights, Unread) or isinstance(deployed.rights.statements, Unread):
        unread = deployed.rights if isinstance(deployed.rights, Unread) else deployed.rights.statements
        assert isinstance(unread, Unread)
        yield unread.finding(f"role {role}", f"{INVOKE} on the backends")
        return
    needs = needs_of(deployed, configured, deployed.function)
    yield from _need_findings(role, needs, deployed.rights, shell)
    yield from _excess_findings(role, needs, deployed.rights.statements, shell)


def _need_findings(role: str, needs: list[Need], rights: Rights, shell: Shell) -> Iterator[Finding]:
    assert not isinstance(rights.statements, Unread)
    if isinstance(rights.boundary, Unread):
        yield rights.boundary.finding(f"role {role}", "a permissions boundary that allows what the bridge does")
    for need in needs:
        subject = f"role {role}"
        wanted = f"{need.action} on {need.written or need.resource}"
        grant = granted(rights.statements, need.action, need.resource)
        if grant in ("allowed", "conditional") and isinstance(rights.boundary, tuple):
            inside = granted(rights.boundary, need.action, need.resource)
            if inside in ("absent", "denied"):
                look = shell.aws("iam", "get-role", "--role-name", role, "--query", "Role.PermissionsBoundary")
                yield Finding("error", subject, "not within the permissions boundary", wanted, look)
                continue
        yield _grant_finding(grant, subject, wanted, role, needs, shell)


def _grant_finding(grant: Grant, subject: str, wanted: str, role: str, needs: list[Need], shell: Shell) -> Finding:
    if grant in ("allowed", "conditional"):
        found = "allowed" if grant == "allowed" else "allowed under a condition, which is not looked into"
        return Finding("ok", subject, found, wanted)
    look = shell.aws("iam", "list-role-policies", "--role-name", role)
    if grant == "denied":
        return Finding("error", subject, "denied by a statement of its own", wanted, look)
    if grant == "unclear":
        found = "depends on a NotAction or NotResource, which is not looked into"
        return Finding("warning", subject, found, wanted, _put(role, needs, shell))
    return Finding("error", subject, "not allowed", wanted, _put(role, needs, shell))


def _put(role: str, needs: list[Need], shell: Shell) -> str:
    """One inline policy with all that the bridge does, so that the command is the same for whichever is missing."""
    by_action: dict[str, list[str]] = {}
    for need in needs:
        by_action.setdefault(need.action, []).append(need.written or need.resource)
    log = by_action.pop("logs:PutLogEvents", [])
    statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in by_action.items()]
    if log:
        both = ["logs:CreateLogStream", "logs:PutLogEvents"]
        statements.append({"Effect": "Allow", "Action": both, "Resource": log})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    which = ("--role-name", role, "--policy-name", "lattice-bridge", "--policy-document", policy)
    return shell.aws("iam", "put-role-policy", *which)


def _excess_findings(
    role: str, needs: list[Need], statements: tuple[Statement, ...], shell: Shell
) -> Iterator[Finding]:
    subject, wanted = f"role {role}", f"{INVOKE} on the backends' aliases alone"
    backends = [need.resource for need in needs if need.action == INVOKE]
    allowing = [found for found in statements if found.effect == "Allow" and found.names_action(INVOKE)]
    beyond = [on for found in allowing for on in (found.resources or ("everything but some",)) if on not in backends]
    if beyond:
        found = f"may invoke {listed(list(dict.fromkeys(beyond)))}"
        wanted = f"{wanted}; once it is written so, the wider statement can go"
        yield Finding("warning", subject, found, wanted, _put(role, needs, shell))
