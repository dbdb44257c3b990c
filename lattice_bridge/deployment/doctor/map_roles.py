"""The roles and users that the map names: that they are there, and older than the map.

Rule: an ARN does not say which role it was. One that was deleted and made again has the same, and no event shows it; a
role younger than the map may be another than the map's author meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from lattice_bridge.deployment.doctor.configuration import Configured, NamedRole
from lattice_bridge.deployment.doctor.facts import Deployed, MapRole
from lattice_bridge.deployment.doctor.findings import Finding, Shell, Unread, listed, option

_TRAILS: Final = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Where CloudTrail keeps what happens to roles and users, by partition."""


def map_role_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """A line for each that is not as it should be, and one for all the others."""
    if isinstance(deployed.map_written, Unread):
        yield deployed.map_written.finding("map's date", "readable: the roles it names are older")
    good: list[str] = []
    for role in deployed.roles:
        found = list(_role_findings(role, deployed.map_written, configured, shell))
        yield from found
        if not found:
            good.append(role.named.name)
    if good:
        yield Finding("ok", "roles in the map", f"{len(good)} there: {listed(good)}", _wanted(deployed.map_written))
    left = len(configured.roles) - len(deployed.roles) - len(deployed.elsewhere)
    if left > 0:
        yield Finding("unknown", "roles in the map", f"{left} more, not looked at", _wanted(deployed.map_written))
    yield from _elsewhere_findings(deployed.elsewhere, shell)


def _wanted(written: object) -> str:
    """What can be asked for, as far as the map's date is known."""
    return f"there, and older than the map of {_day(written)}" if isinstance(written, datetime) else "there"


def _role_findings(
    role: MapRole, written: datetime | Unread | None, configured: Configured, shell: Shell
) -> Iterator[Finding]:
    named, wanted = role.named, _wanted(written)
    subject = f"{named.kind} {named.name} in the map"
    if isinstance(role.created, Unread):
        yield role.created.finding(subject, wanted)
    elif role.created is None and named.denies:
        mend = f"in {configured.file}, name in {_rules(named)} the {named.kind} that is meant"
        yield Finding("warning", subject, f"no such {named.kind}: {_rules(named)} denies nobody", wanted, mend)
    elif role.created is None:
        found = f"no such {named.kind}: whoever creates it has what {_rules(named)} gives"
        yield Finding("error", subject, found, wanted, f"in {configured.file}, take {_rules(named)} out")
    elif isinstance(written, datetime) and role.created > written and not named.denies:
        found = (
            f"created {_day(role.created)}, after the map: it may have been deleted, and made again by somebody else"
        )
        about = json.dumps([{"AttributeKey": "ResourceName", "AttributeValue": named.name}], separators=(",", ":"))
        home = _TRAILS.get(named.partition, "us-east-1")
        look = Shell(home, shell.profile).aws("cloudtrail", "lookup-events", "--lookup-attributes", about)
        yield Finding("warning", subject, found, f"{wanted}; if it is the one that is meant, deploy the map anew", look)


def _rules(named: NamedRole) -> str:
    return f"rule{'s' if len(named.rules) > 1 else ''} {listed(list(named.rules))}"


def _day(when: datetime) -> str:
    return when.isoformat(sep=" ", timespec="seconds")


def _elsewhere_findings(roles: tuple[NamedRole, ...], shell: Shell) -> Iterator[Finding]:
    accounts = dict.fromkeys(role.account for role in roles)
    for account in accounts:
        there = [role for role in roles if role.account == account]
        kind = there[0].kind
        other = Shell(shell.region, f"PROFILE-OF-{account}")
        words = (f"get-{kind}", *option(f"--{kind}-name", there[0].name), "--query", f"{kind.title()}.CreateDate")
        yield Finding(
            "unknown",
            f"roles of {account} in the map",
            f"not looked at from this account: {listed([role.name for role in there])}",
            "there, and older than the map",
            other.aws("iam", *words),
        )
