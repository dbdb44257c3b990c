"""The target groups that send to the bridge: event version, alias, and that a service forwards to them.

Rule: a version chosen when the group was made is never changed; a new group takes its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from lattice_bridge.deployment.doctor_config import Configured
from lattice_bridge.deployment.doctor_facts import Deployed, Name, TargetGroup
from lattice_bridge.deployment.doctor_finding import Finding, Shell, Unread, listed
from lattice_bridge.deployment.doctor_invokers import admit


def target_group_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """What there is to say of each, and whether there is one."""
    if isinstance(deployed.unseen, Unread):
        yield deployed.unseen.finding("target group", "one of type LAMBDA that sends to the bridge's alias")
    elif not deployed.groups:
        yield Finding(
            "error",
            "target group",
            f"none sends to {deployed.bridge.name}",
            f"one of type LAMBDA, V2, with {deployed.bridge.short}",
            _make(deployed.bridge, shell),
        )
    for group in deployed.groups:
        if isinstance(group, Unread):
            yield group.finding("target group", "LAMBDA, V2, on the bridge's alias")
        else:
            yield from _version_findings(group, deployed.bridge, configured, shell)
            yield from _alias_findings(group, deployed, shell)
            yield from _state_findings(group, deployed, shell)


def _make(bridge: Name, shell: Shell) -> str:
    config = ("--type", "LAMBDA", "--config", "lambdaEventStructureVersion=V2", "--query", "id", "--output", "text")
    made = shell.aws("vpc-lattice", "create-target-group", "--name", f"{bridge.name.lower()[:60]}-v2", *config)
    targets = shell.aws("vpc-lattice", "register-targets", "--targets", f"id={bridge.qualified}")
    return f'{targets} --target-group-identifier "$({made})"'


def _version_findings(group: TargetGroup, bridge: Name, configured: Configured, shell: Shell) -> Iterator[Finding]:
    subject, wanted = f"event version {group.name}", "V2"
    if group.event_version == "V2":
        yield Finding("ok", subject, "V2", wanted)
    elif configured.options.services:
        found = f"{group.event_version or 'V1'}, which does not say its service: [lattice] services refuses all of it"
        yield Finding("error", subject, found, wanted, _make(bridge, shell))
    else:
        found = f"{group.event_version or 'V1'}, which names neither service nor target group"
        yield Finding("warning", subject, found, wanted, _make(bridge, shell))


def _alias_findings(group: TargetGroup, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    bridge = deployed.bridge
    subject, wanted = f"target {group.name}", "an alias, which a deployment moves and can move back"
    if isinstance(group.targets, Unread):
        yield group.targets.finding(subject, wanted)
        return
    for target in group.targets:
        arn, _, qualifier = target.removeprefix(bridge.arn).partition(":")
        if arn or not target.startswith(bridge.arn):
            continue  # another function's
        name = Name(bridge.arn, qualifier or None)
        if name.qualifier is None or name.qualifier == "$LATEST" or name.qualifier.isdigit():
            found = f"{name.short}, which is {'one version' if (name.qualifier or '').isdigit() else '$LATEST'}"
            yield Finding("warning", subject, found, wanted, _register(group, target, deployed, shell))
        elif bridge.qualifier not in (None, name.qualifier):
            found = f"{name.short}, and {bridge.short} was asked for"
            yield Finding("warning", subject, found, bridge.short, _register(group, target, deployed, shell))
        else:
            yield Finding("ok", subject, name.short, wanted)


def _register(group: TargetGroup, target: str, deployed: Deployed, shell: Shell) -> str:
    """An alias is there, and lets Lattice in, before it becomes the target: the order keeps requests from failing."""
    aliases = () if isinstance(deployed.aliases, Unread) else deployed.aliases
    asked = deployed.bridge.qualifier if deployed.bridge.qualifier in aliases else None
    alias = Name(deployed.bridge.arn, asked or next(iter(aliases), "live"))
    steps: list[str] = []
    if alias.qualifier not in aliases:
        steps.append(_make_alias(alias, shell))
    door = next((door.statements for door in deployed.doors if door.name == alias), ())
    if not isinstance(door, Unread) and not any(group.arn in found.values("aws:sourcearn") for found in door):
        steps.append(admit(alias, group.arn, shell))
    which = ("--target-group-identifier", group.arn, "--targets")
    steps.append(shell.aws("vpc-lattice", "deregister-targets", *which, f"id={target}"))
    steps.append(shell.aws("vpc-lattice", "register-targets", *which, f"id={alias.qualified}"))
    return " && ".join(steps)


def _make_alias(alias: Name, shell: Shell) -> str:
    name = ("--function-name", alias.name)
    publish = shell.aws("lambda", "publish-version", *name, "--query", "Version", "--output", "text")
    create = shell.aws("lambda", "create-alias", *name, "--name", alias.qualifier or "live")
    return f'{create} --function-version "$({publish})"'


def _state_findings(group: TargetGroup, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    subject, wanted = f"target group {group.name}", "ACTIVE, and a service forwards to it"
    look = shell.aws("vpc-lattice", "get-target-group", "--target-group-identifier", group.arn)
    if group.status != "ACTIVE":
        yield Finding("error", subject, group.status, wanted, look)
    elif not group.services:
        mend = listen(deployed.asked_service or "SERVICE", group.arn, shell)
        yield Finding("error", subject, "no service forwards to it", wanted, mend)
    else:
        yield Finding("ok", subject, f"ACTIVE, for {listed(group.services)}", wanted)


def listen(service: str, group: str, shell: Shell) -> str:
    """Makes a service listen with HTTPS, and forward to a group."""
    forward = {"forward": {"targetGroups": [{"targetGroupIdentifier": group, "weight": 100}]}}
    which = ("--service-identifier", service, "--name", "https", "--protocol", "HTTPS", "--port", "443")
    action = ("--default-action", json.dumps(forward, separators=(",", ":")))
    return shell.aws("vpc-lattice", "create-listener", *which, *action)
