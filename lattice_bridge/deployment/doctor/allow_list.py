"""`[lattice] services`, held against the services that forward to the bridge.

Rule: the list is against other services, and against nobody who may invoke the bridge: they write the event, and the
service in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from lattice_bridge.config.tables.options import service_fault
from lattice_bridge.deployment.doctor.configuration import Configured
from lattice_bridge.deployment.doctor.facts import Deployed, TargetGroup
from lattice_bridge.deployment.doctor.findings import Finding, Unread, listed


def allow_list_findings(deployed: Deployed, configured: Configured) -> Iterator[Finding]:
    """Whether there is a list, and whether it has all of them."""
    listed_there = configured.options.services
    serving = _services_of(deployed.groups)
    subject = "[lattice] services"
    entries = sorted(serving | listed_there) or ["SERVICE ARN"]
    mend = f"in {configured.file}, under [lattice]: services = {json.dumps(entries)}"
    if any(map(service_fault, serving)):
        mend = "no entry is given: the service's ARN in AWS's answer is malformed"
    if not listed_there:
        wanted = listed(sorted(serving)) or "the services that forward to it"
        wanted = f"{wanted}; no help against whoever has lambda:InvokeFunction"
        yield Finding("warning", subject, "any service that forwards to it", wanted, mend)
        return
    shut_out = sorted(serving - listed_there)
    unseen = isinstance(deployed.unseen, Unread) or any(isinstance(group, Unread) for group in deployed.groups)
    if shut_out:
        found = f"{listed(shut_out)} is not listed: its requests are refused"
        yield Finding("error", subject, found, "every service that forwards to it", mend)
    elif unseen:
        found = f"{listed(sorted(listed_there))}; what forwards to it could not all be read"
        yield Finding("unknown", subject, found, "the services that forward to it")
    else:
        yield Finding("ok", subject, listed(sorted(listed_there)), "the services that forward to it")


def _services_of(groups: Iterable[object]) -> frozenset[str]:
    return frozenset(arn for group in groups if isinstance(group, TargetGroup) for arn in group.services)
