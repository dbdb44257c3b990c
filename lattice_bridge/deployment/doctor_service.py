"""The services in front: who is authenticated, who is let in, and how clients speak with them.

Rule: what has to be authenticated follows from the map. A token's bearer is anonymous to Lattice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.doctor_config import Configured
from lattice_bridge.deployment.doctor_facts import AuthPolicy, Deployed, Service, TargetGroup
from lattice_bridge.deployment.doctor_finding import Finding, Shell, Unread
from lattice_bridge.deployment.doctor_policy import Statement
from lattice_bridge.deployment.doctor_target_group import listen

_EVERYBODY: Final = {"Effect": "Allow", "Principal": "*", "Action": "vpc-lattice-svcs:Invoke", "Resource": "*"}
_SIGNED: Final = {"StringNotEqualsIgnoreCase": {"aws:PrincipalType": "anonymous"}}
POLICY: Final = {"Version": "2012-10-17", "Statement": [{**_EVERYBODY, "Condition": _SIGNED}]}
"""The auth policy of template.yaml: whoever is authenticated, and is allowed by their own account."""
OPEN: Final = {"Version": "2012-10-17", "Statement": [_EVERYBODY]}
"""For a map that is for callers with tokens, or for anyone: the bridge decides."""

_OF_THE_AUTHENTICATED: Final = frozenset(
    {
        *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "aws:userid"),
        "aws:username",
    }
)
"""Keys that a request has only if somebody signed it."""


def service_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """What there is to say of each service that forwards to the bridge, and of the one asked for."""
    for arn, service in deployed.services:
        if isinstance(service, Unread):
            yield service.finding(f"service {arn}", "readable")
        elif service is None:
            look = shell.aws("vpc-lattice", "list-services")
            yield Finding("error", f"service {arn}", "no such service in this account and region", "there", look)
        else:
            yield from _forward_findings(service, deployed, shell)
            yield from _auth_type_findings(service, configured, shell)
            yield from _auth_policy_findings(service, configured, shell)
            yield from _listener_findings(service, deployed, shell)


def _forward_findings(service: Service, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    """Only of one that was asked for: the others were found by what they forward to."""
    groups = [group for group in deployed.groups if isinstance(group, TargetGroup)]
    if service.arn in {arn for group in groups for arn in group.services} or not groups:
        return
    look = shell.aws("vpc-lattice", "list-listeners", "--service-identifier", service.arn)
    yield Finding("error", f"service {service.name}", "forwards to no target group of the bridge", "forwards", look)


def _auth_type_findings(service: Service, configured: Configured, shell: Shell) -> Iterator[Finding]:
    subject, wanted = f"auth type {service.name}", "AWS_IAM"
    if service.auth_type == "AWS_IAM":
        yield Finding("ok", subject, "AWS_IAM", wanted)
        return
    which = ("--service-identifier", service.arn, "--auth-type", "AWS_IAM")
    mend = shell.aws("vpc-lattice", "update-service", *which)
    if configured.knows_callers:
        found = f"{service.auth_type}: no caller is authenticated, and no rule for a principal matches anybody"
        yield Finding("error", subject, found, wanted, mend)
    else:
        yield Finding("warning", subject, f"{service.auth_type}: tokens alone say who calls", wanted, mend)


def _auth_policy_findings(service: Service, configured: Configured, shell: Shell) -> Iterator[Finding]:
    if service.auth_type != "AWS_IAM":
        return
    subject, policy = f"auth policy {service.name}", service.auth_policy
    wanted = "whom the map is for" if configured.admits_anonymous else "authenticated callers alone"
    mend = _put(service, OPEN if configured.admits_anonymous else POLICY, shell)
    if isinstance(policy, Unread):
        yield policy.finding(subject, wanted)
    elif policy is None or not any(found.effect == "Allow" for found in policy.statements):
        yield Finding("error", subject, "lets nobody in", wanted, mend)
    elif policy.state != "Active":
        yield Finding("error", subject, policy.state, "Active", mend)
    elif admits_anonymous(policy) and not configured.admits_anonymous:
        yield Finding("error", subject, "admits callers that nobody authenticated", wanted, mend)
    elif configured.admits_anonymous and not admits_anonymous(policy):
        found = "admits authenticated callers alone: a token without SigV4 beside it does not get through"
        yield Finding("warning", subject, found, "callers with tokens as well, if they do not sign", mend)
    else:
        whom = "anonymous callers too" if configured.admits_anonymous else "authenticated callers"
        yield Finding("ok", subject, f"Active, admits {whom}", wanted)


def _put(service: Service, policy: Mapping[str, Any], shell: Shell) -> str:
    which = ("--resource-identifier", service.arn, "--policy", json.dumps(policy, separators=(",", ":")))
    return shell.aws("vpc-lattice", "put-auth-policy", *which)


def admits_anonymous(policy: AuthPolicy) -> bool:
    """Whether an anonymous caller gets past it, as far as its statements can be told."""
    allowed = any(
        found.effect == "Allow" and _for_everybody(found) and not _asks_for_identity(found)
        for found in policy.statements
    )
    return allowed and not any(_denies_anonymous(found) for found in policy.statements)


def _for_everybody(statement: Statement) -> bool:
    return not statement.principals or any(kind == "*" for kind, _name in statement.principals)


def _asks_for_identity(statement: Statement) -> bool:
    return any(
        (key == "aws:principaltype" and "Not" in operator and "anonymous" in {value.lower() for value in values})
        or (key in _OF_THE_AUTHENTICATED and "Not" not in operator and not operator.endswith("IfExists"))
        for operator, key, values in statement.conditions
    )


def _denies_anonymous(statement: Statement) -> bool:
    return statement.effect == "Deny" and any(
        value.lower() == "anonymous" for value in statement.values("aws:principaltype")
    )


def _listener_findings(service: Service, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    wanted = "HTTPS: nothing signs the body"
    if isinstance(service.listeners, Unread):
        yield service.listeners.finding(f"listener {service.name}", wanted)
        return
    groups = [group.arn for group in deployed.groups if isinstance(group, TargetGroup)]
    secure = any(listener.protocol == "HTTPS" for listener in service.listeners)
    for listener in service.listeners:
        subject = f"listener {service.name}:{listener.port}"
        if listener.protocol == "HTTPS":
            yield Finding("ok", subject, "HTTPS", wanted)
            continue
        which = ("--service-identifier", service.arn, "--listener-identifier", listener.arn)
        drop = shell.aws("vpc-lattice", "delete-listener", *which)
        steps = [drop] if secure or not groups else [listen(service.arn, groups[0], shell), drop]
        yield Finding("error", subject, listener.protocol, wanted, " && ".join(steps))
    if not service.listeners:
        mend = listen(service.arn, groups[0] if groups else "TARGET-GROUP", shell)
        yield Finding("error", f"listener {service.name}", "none: nobody can reach it", wanted, mend)
