"""The services in front: who is authenticated, who is let in, and how clients speak with them.

Rule: what has to be authenticated follows from the map. A token's bearer is anonymous to Lattice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.doctor.configuration import Configured
from lattice_bridge.deployment.doctor.facts import Deployed, Service, TargetGroup
from lattice_bridge.deployment.doctor.findings import Finding, Shell, Unread
from lattice_bridge.deployment.doctor.target_group import listen, may_listen
from lattice_bridge.deployment.iam.auth_policy import admits_anonymous, admits_nobody

_EVERYBODY: Final = {"Effect": "Allow", "Principal": "*", "Action": "vpc-lattice-svcs:Invoke", "Resource": "*"}
_SIGNED: Final = {"StringNotEqualsIgnoreCase": {"aws:PrincipalType": "anonymous"}}
POLICY: Final = {"Version": "2012-10-17", "Statement": [{**_EVERYBODY, "Condition": _SIGNED}]}
"""The auth policy of template.yaml: whoever is authenticated, and is allowed by their own account."""
OPEN: Final = {"Version": "2012-10-17", "Statement": [_EVERYBODY]}
"""For a map that is for callers with tokens, or for anyone: the bridge decides."""


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
    mend = _authenticate(service, configured, shell)
    if configured.knows_callers:
        found = (
            f"{service.auth_type}: unless its service network authenticates, which was not looked at, "
            "no rule for a principal matches anybody"
        )
        yield Finding("error", subject, found, wanted, mend)
    else:
        found = f"{service.auth_type}: tokens alone say who calls, unless its service network asks for more"
        yield Finding("warning", subject, found, wanted, mend)


def _authenticate(service: Service, configured: Configured, shell: Shell) -> str:
    """The policy first: a service that authenticates and has none refuses every request."""
    which = ("--service-identifier", service.arn, "--auth-type", "AWS_IAM")
    update = shell.aws("vpc-lattice", "update-service", *which)
    if isinstance(service.auth_policy, Unread):
        return "see that it has an auth policy, without which it refuses everybody; then set its auth type to AWS_IAM"
    if service.auth_policy is None or not service.auth_policy.statements:
        return f"{_put(service, configured, shell)} && {update}"
    statements = service.auth_policy.statements
    if admits_nobody(statements, service.arn):
        return _mended_first("an Allow, and without what denies everybody", update, service, shell)
    if configured.admits_anonymous and not admits_anonymous(statements, service.arn):
        return _mended_first("an Allow for callers that do not sign: tokens come without", update, service, shell)
    return update


def _mended_first(what: str, update: str, service: Service, shell: Shell) -> str:
    """The policy that is there comes alive with the auth type."""
    return f"first put an auth policy with {what}; now it is: {_look(service, shell)}; then: {update}"


def _look(service: Service, shell: Shell) -> str:
    return shell.aws("vpc-lattice", "get-auth-policy", "--resource-identifier", service.arn)


def _auth_policy_findings(service: Service, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """A policy that is there is changed by hand: a put replaces all of it, and what else it restricts."""
    if service.auth_type != "AWS_IAM":
        return
    subject, policy = f"auth policy {service.name}", service.auth_policy
    wanted = "whom the map is for" if configured.admits_anonymous else "authenticated callers alone"
    look = _look(service, shell)
    if isinstance(policy, Unread):
        yield policy.finding(subject, wanted)
    elif policy is None or not policy.statements:
        yield Finding("error", subject, "lets nobody in", wanted, _put(service, configured, shell))
    elif policy.state != "Active":
        yield Finding("error", subject, policy.state, "Active", _authenticate(service, configured, shell))
    elif admits_nobody(policy.statements, service.arn):
        mend = (
            f"allow vpc-lattice-svcs:Invoke on {service.arn}/*, and take out what denies everybody; now it is: {look}"
        )
        yield Finding("error", subject, "lets nobody in", wanted, mend)
    elif admits_anonymous(policy.statements, service.arn) is not configured.admits_anonymous:
        yield _anonymous_finding(subject, wanted, configured, look)
    else:
        whom = "anonymous callers too" if configured.admits_anonymous else "authenticated callers"
        yield Finding("ok", subject, f"Active, admits {whom}", wanted)


def _anonymous_finding(subject: str, wanted: str, configured: Configured, look: str) -> Finding:
    condition = json.dumps({"Condition": _SIGNED})
    if configured.admits_anonymous:
        found = "admits authenticated callers alone: a token without SigV4 beside it does not get through"
        mend = f"let callers in that do not sign, by an Allow for everybody without {condition}; now it is: {look}"
        return Finding("warning", subject, found, "callers with tokens as well, if they do not sign", mend)
    mend = f"add to each Allow for everybody {condition}; now it is: {look}"
    return Finding("error", subject, "admits callers that nobody authenticated", wanted, mend)


def _put(service: Service, configured: Configured, shell: Shell) -> str:
    policy = json.dumps(OPEN if configured.admits_anonymous else POLICY, separators=(",", ":"))
    return shell.aws("vpc-lattice", "put-auth-policy", "--resource-identifier", service.arn, "--policy", policy)


def _listener_findings(service: Service, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    """What a listener forwards by its rules is not looked at, so none is taken away by a command."""
    wanted = "HTTPS: nothing signs the body"
    if isinstance(service.listeners, Unread):
        yield service.listeners.finding(f"listener {service.name}", wanted)
        return
    known = (group for group in deployed.groups if isinstance(group, TargetGroup))
    groups = [group.arn for group in known if service.arn in group.services] or [
        group.arn for group in deployed.groups if isinstance(group, TargetGroup)
    ]
    secure = any(listener.protocol == "HTTPS" for listener in service.listeners)
    make = "make a listener with HTTPS that forwards to the bridge's target group"
    if len(groups) == 1 and may_listen(service):
        make = listen(service.arn, groups[0], shell)
    for listener in service.listeners:
        subject = f"listener {service.name}:{listener.port}"
        if listener.protocol == "HTTPS":
            yield Finding("ok", subject, "HTTPS", wanted)
            continue
        which = ("--service-identifier", service.arn, "--listener-identifier", listener.arn)
        drop = shell.aws("vpc-lattice", "delete-listener", *which)
        mend = f"once the listener with HTTPS forwards the same, and clients use it: {drop}" if secure else make
        yield Finding("error", subject, listener.protocol, wanted, mend)
    if not service.listeners:
        yield Finding("error", f"listener {service.name}", "none: nobody can reach it", wanted, make)
