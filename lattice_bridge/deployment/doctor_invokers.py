"""Who may invoke the bridge: Lattice, from the target groups that send to it, and nobody else.

Rule: whoever may invoke the bridge writes the event, and with it the caller that the bridge believes in. A resource
policy does not list the account's own identities; `[lattice] services` is what is left against those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lattice_bridge.deployment.doctor_config import Configured
from lattice_bridge.deployment.doctor_facts import Deployed, Door, Name, TargetGroup
from lattice_bridge.deployment.doctor_finding import Finding, Shell, Unread, listed
from lattice_bridge.deployment.doctor_policy import INVOKE, Statement

LATTICE = "vpc-lattice.amazonaws.com"


def invoker_findings(deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    """The bridge's resource policies, function URLs and event sources."""
    groups = [group for group in deployed.groups if isinstance(group, TargetGroup)]
    wanted = f"{LATTICE} alone, from {listed([group.arn for group in groups]) or 'its target group'}"
    if isinstance(deployed.aliases, Unread):
        yield deployed.aliases.finding(f"aliases of {deployed.bridge.name}", "readable: each has a policy of its own")
    for door in deployed.doors:
        yield from _door_findings(door, deployed, groups, wanted, shell)
    yield from _url_findings(deployed, shell)
    yield from _source_findings(deployed, shell)


def _door_findings(
    door: Door, deployed: Deployed, groups: list[TargetGroup], wanted: str, shell: Shell
) -> Iterator[Finding]:
    subject = f"invoke permission {door.name.short}"
    if isinstance(door.statements, Unread):
        yield door.statements.finding(subject, wanted)
        return
    missing = [group.arn for group in groups if _sends_to(group, door.name)]
    unclear = [group.arn for group in groups if isinstance(group.targets, Unread)]
    right: list[str] = []
    for statement in door.statements:
        if statement.effect == "Deny" or not statement.invokes:
            continue
        problem = _problem(statement, groups, deployed.bridge.arn.split(":")[4])
        if problem is None:
            sources = statement.values("aws:sourcearn")
            right += [arn for arn in sources if arn in (*missing, *unclear)]
            idle = [arn for arn in sources if arn not in (*missing, *unclear)]
            if idle:
                found = (
                    f"{LATTICE} from {listed(idle)}, which sends to another name of the function{_by_sid(statement)}"
                )
                yield Finding("warning", subject, found, wanted, _remove(statement, door, shell))
            continue
        level, found = problem
        yield Finding("error" if level else "warning", subject, found, wanted, _mend(statement, door, missing, shell))
    if right:
        yield Finding("ok", subject, f"{LATTICE} from {listed(right)}", wanted)
    for arn in missing:
        if arn not in right:
            yield Finding(
                "error", subject, f"{LATTICE} from {arn} is not admitted", wanted, admit(door.name, arn, shell)
            )


def _problem(statement: Statement, groups: list[TargetGroup], account: str) -> tuple[bool, str] | None:
    """Whether it is an error, and what it lets in; None for Lattice from a known target group."""
    whom = listed([name for _kind, name in statement.principals]) or "everybody but some"
    sources = statement.values("aws:sourcearn")
    if not statement.is_plain or any(principal != ("Service", LATTICE) for principal in statement.principals):
        return True, f"{whom} may invoke it{_by_sid(statement)}"
    if not sources:
        return True, f"{LATTICE} may, from anybody's target group: no aws:SourceArn{_by_sid(statement)}"
    known = {group.arn for group in groups}
    for source in sources:
        if "*" in source or "?" in source:
            return True, f"{LATTICE} may, from every target group like {source}{_by_sid(statement)}"
        if source not in known:
            foreign = f":{account}:targetgroup/" not in source
            return foreign, f"{LATTICE} may, from {source}, which does not send to it{_by_sid(statement)}"
    return None


def admits_lattice(statements: Iterable[Statement]) -> bool:
    """Whether Lattice may invoke, from wherever."""
    return any(
        found.effect == "Allow" and found.invokes and ("Service", LATTICE) in found.principals for found in statements
    )


def _by_sid(statement: Statement) -> str:
    return f", by statement {statement.sid}" if statement.sid else ""


def _sends_to(group: TargetGroup, name: Name) -> bool:
    """Where its targets cannot be read, any name may be meant, and a permission is asked of none."""
    return not isinstance(group.targets, Unread) and name.qualified in group.targets


def _mend(statement: Statement, door: Door, missing: list[str], shell: Shell) -> str:
    """Lattice is let in rightly before it is shut out, where it was let in too widely."""
    lattice = any(name == LATTICE for _kind, name in statement.principals)
    first = [admit(door.name, arn, shell) for arn in missing] if lattice else []
    return " && ".join([*first, _remove(statement, door, shell)])


def _remove(statement: Statement, door: Door, shell: Shell) -> str:
    if not statement.sid:
        return shell.aws("lambda", "get-policy", *door.name.arguments)
    return shell.aws("lambda", "remove-permission", *door.name.arguments, "--statement-id", statement.sid)


def admit(name: Name, group: str, shell: Shell) -> str:
    """Lets Lattice invoke one of a function's names, from one target group."""
    words = ("--statement-id", f"lattice-{group.rpartition('/')[2]}", "--action", INVOKE)
    return shell.aws("lambda", "add-permission", *name.arguments, *words, "--principal", LATTICE, "--source-arn", group)


def _url_findings(deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    wanted = "none: who calls it writes the event"
    if isinstance(deployed.urls, Unread):
        yield deployed.urls.finding("function URL", wanted)
        return
    if not deployed.urls:
        yield Finding("ok", "function URL", "none", wanted)
    for arn in deployed.urls:
        qualifier = arn.removeprefix(deployed.bridge.arn).removeprefix(":") or None
        name = Name(deployed.bridge.arn, qualifier)
        mend = shell.aws("lambda", "delete-function-url-config", *name.arguments)
        yield Finding("error", "function URL", f"{name.short} has one", wanted, mend)


def _source_findings(deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    wanted = "none: whoever writes to the source writes the event"
    if isinstance(deployed.sources, Unread):
        yield deployed.sources.finding("event sources", wanted)
        return
    if not deployed.sources:
        yield Finding("ok", "event sources", "none", wanted)
    for uuid, source in deployed.sources:
        mend = shell.aws("lambda", "delete-event-source-mapping", "--uuid", uuid)
        yield Finding("error", "event sources", source, wanted, mend)


def allow_list_findings(deployed: Deployed, configured: Configured) -> Iterator[Finding]:
    """`[lattice] services`: against events that somebody with lambda:InvokeFunction of the account writes."""
    listed_there = configured.options.services
    serving = _services_of(deployed.groups)
    subject = "[lattice] services"
    entry = ", ".join(f'"{arn}"' for arn in sorted(serving | listed_there)) or '"SERVICE ARN"'
    mend = f"in {configured.file}, under [lattice]: services = [{entry}]"
    if not listed_there:
        wanted = listed(sorted(serving)) or "the services that forward to it"
        yield Finding("warning", subject, "any service, and whoever in the account may invoke it", wanted, mend)
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
