"""The target groups that send to the bridge: event version, alias, and that a service forwards to them.

Rule: a version chosen when the group was made is never changed; a new group takes its place. Which alias is meant is
for whoever deploys: where there are several, no command chooses one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from lattice_bridge.deployment.doctor.configuration import Configured
from lattice_bridge.deployment.doctor.facts import (
    LATEST,
    Deployed,
    Name,
    Service,
    TargetGroup,
    target_name,
    target_names,
)
from lattice_bridge.deployment.doctor.findings import Finding, Shell, Unread, listed
from lattice_bridge.deployment.doctor.invokers import admit, admits


def target_group_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """What there is to say of each, and whether there is one."""
    if isinstance(deployed.unseen, Unread):
        yield deployed.unseen.finding("target group", "one of type LAMBDA that sends to the bridge's alias")
    elif not deployed.groups:
        found, wanted = f"none sends to {deployed.bridge.name}", f"one of type LAMBDA, V2, with {deployed.bridge.short}"
        yield Finding("error", "target group", found, wanted, _make(deployed.bridge, deployed, shell))
    for group in deployed.groups:
        if isinstance(group, Unread):
            yield group.finding(f"target group {group.resource}", "LAMBDA, V2, on the bridge's alias")
        else:
            yield from _version_findings(group, deployed, configured, shell)
            yield from _target_findings(group, deployed, shell)
            yield from _state_findings(group, deployed, shell)
    yield from _share_findings(deployed)


def _make(target: Name, deployed: Deployed, shell: Shell) -> str:
    """A new group, which sends to an alias: a target that is none is not copied. It is of the function's account."""
    if deployed.alias(target) is None or target.account != deployed.account:
        return "make one of type LAMBDA, lambdaEventStructureVersion=V2, with the alias that is meant as its target"
    config = ("--type", "LAMBDA", "--config", "lambdaEventStructureVersion=V2", "--query", "id", "--output", "text")
    made = shell.aws("vpc-lattice", "create-target-group", "--name", _group_name(target.name), *config)
    targets = shell.aws("vpc-lattice", "register-targets", "--targets", f"id={target.qualified}")
    return f'{targets} --target-group-identifier "$({made})"'


def _group_name(function: str) -> str:
    """A group may not be called as a function may: small letters, digits and single hyphens, and not `tg-…`."""
    words = re.findall("[a-z0-9]+", function.lower())
    name = "-".join(words[1:] if words[:1] == ["tg"] else words)[:60].strip("-")
    return f"{name or 'bridge'}-v2"


def _version_findings(
    group: TargetGroup, deployed: Deployed, configured: Configured, shell: Shell
) -> Iterator[Finding]:
    subject, wanted = f"event version {group.name}", "V2"
    targets = target_names((group,), deployed.bridge)
    mend = _make(targets[0] if len(targets) == 1 else Name(deployed.bridge.arn), deployed, shell)
    if group.event_version == "V2":
        yield Finding("ok", subject, "V2", wanted)
    elif configured.options.services:
        found = f"{group.event_version or 'V1'}, which does not say its service: [lattice] services refuses all of it"
        yield Finding("error", subject, found, wanted, mend)
    else:
        found = f"{group.event_version or 'V1'}, which names neither service nor target group"
        yield Finding("warning", subject, found, wanted, mend)


# ---- targets --------------------------------------------------------------------------------------------------------


def _target_findings(group: TargetGroup, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    bridge = deployed.bridge
    subject, wanted = f"target {group.name}", "an alias, which a deployment moves and can move back"
    if isinstance(group.targets, Unread):
        yield group.targets.finding(subject, wanted)
        return
    for target in group.targets:
        name = target_name(target, bridge)
        if name is None:
            continue  # another function's
        if deployed.lacks(name):
            found = f"{name.short}, which is not there: every request fails"
            yield Finding("error", subject, found, wanted, _in_words(group, name, deployed))
        elif name.qualifier is None or name.is_version:
            found = f"{name.short}, which is {'one version' if name.is_version else LATEST}"
            yield Finding("warning", subject, found, wanted, _move(group, target, name, deployed, shell))
        elif deployed.asked and name != bridge:
            found = f"{name.short}, and {bridge.short} was asked for"
            mend = f"none, if {group.name} is for {name.short}; if not, register {bridge.short} in its place"
            yield Finding("warning", subject, found, bridge.short, mend)
        else:
            yield Finding("ok", subject, name.short, wanted)


def _move(group: TargetGroup, target: str, name: Name, deployed: Deployed, shell: Shell) -> str:
    """To an alias that is for the very version that serves, so that no other code comes to serve: a new one, or the
    only one there is. It lets Lattice in before it becomes the target; the old target goes first, since a group takes
    one function."""
    if isinstance(deployed.aliases, Unread):
        return _in_words(group, name, deployed)
    same = [one for one in deployed.aliases if one.versions == (name.qualifier,)]
    if len(same) != 1 and deployed.aliases:
        return _in_words(group, name, deployed)
    alias = Name(name.arn, same[0].name if same else "live")
    if deployed.asked and deployed.bridge not in (alias, name):
        return _in_words(group, name, deployed)
    door = next((door.statements for door in deployed.doors if door.name == alias), ())
    if isinstance(door, Unread) or any(one.effect == "Deny" for one in door):
        return _in_words(group, name, deployed)
    steps = [] if same else [_make_alias(alias, name.qualifier, shell)]
    if not any(admits(one, group.arn) for one in door):
        steps.append(admit(alias, group.arn, door, shell))
    which = ("--target-group-identifier", group.arn, "--targets")
    steps.append(shell.aws("vpc-lattice", "deregister-targets", *which, f"id={target}"))
    steps.append(shell.aws("vpc-lattice", "register-targets", *which, f"id={alias.qualified}"))
    return f"requests fail for a moment, since a group of type LAMBDA has one target: {' && '.join(steps)}"


def _make_alias(alias: Name, version: str | None, shell: Shell) -> str:
    words = ("--name", str(alias.qualifier))
    if version is not None:
        return shell.of_function("create-alias", alias.arn, *words, "--function-version", version)
    publish = shell.of_function("publish-version", alias.arn, "--query", "Version", "--output", "text")
    return f'{shell.of_function("create-alias", alias.arn, *words)} --function-version "$({publish})"'


def _in_words(group: TargetGroup, name: Name, deployed: Deployed) -> str:
    known = () if isinstance(deployed.aliases, Unread) else deployed.aliases
    there = [f"{alias.name} for version {' and '.join(alias.versions)}" for alias in known]
    which = f"one of its aliases ({listed(there)})" if there else "an alias"
    return f"choose {which}, let Lattice in on it from {group.arn}, and register it there in the place of {name.short}"


def _share_findings(deployed: Deployed) -> Iterator[Finding]:
    """An alias that shares its requests between versions, as it does while a deployment is under way."""
    for name in dict.fromkeys((deployed.bridge, *target_names(deployed.groups, deployed.bridge))):
        alias = deployed.alias(name)
        if alias is not None and alias.shares:
            parts = [f"{share:.0%} to version {version}" for version, share in alias.shares]
            found = f"{listed(parts)}, the rest to version {alias.version}"
            yield Finding("ok", f"shares of {name.short}", found, "as it is meant, while a deployment is under way")


# ---- what is in front of a group ------------------------------------------------------------------------------------


def _state_findings(group: TargetGroup, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    subject, wanted = f"target group {group.name}", "ACTIVE, and a service forwards to it"
    look = shell.aws("vpc-lattice", "get-target-group", "--target-group-identifier", group.arn)
    if group.status != "ACTIVE":
        yield Finding("error", subject, group.status, wanted, look)
    elif not group.services:
        mend = f"make a listener or a rule of the service forward to {group.arn}"
        asked = dict(deployed.services).get(deployed.asked_service or "")
        if isinstance(asked, Service) and may_listen(asked):
            mend = listen(asked.arn, group.arn, shell)
        yield Finding("error", subject, "no service forwards to it", wanted, mend)
    else:
        yield Finding("ok", subject, f"ACTIVE, for {listed(group.services)}", wanted)


def may_listen(service: Service) -> bool:
    """It has no listener with HTTPS yet, and none on the port of HTTPS."""
    known = service.listeners
    return not isinstance(known, Unread) and all(one.protocol != "HTTPS" and one.port != 443 for one in known)


def listen(service: str, group: str, shell: Shell) -> str:
    """Makes a service listen with HTTPS, and forward to a group."""
    forward = {"forward": {"targetGroups": [{"targetGroupIdentifier": group, "weight": 100}]}}
    which = ("--service-identifier", service, "--name", "https", "--protocol", "HTTPS", "--port", "443")
    action = ("--default-action", json.dumps(forward, separators=(",", ":")))
    return shell.aws("vpc-lattice", "create-listener", *which, *action)
