"""Who may invoke the bridge: Lattice, from the target groups that send to it, and nobody else.

Rule: whoever may invoke the bridge writes the event, and with it the caller that the bridge believes in, and the
service. A resource policy does not list the account's own identities: who of them has lambda:InvokeFunction stands in
their own policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lattice_bridge.deployment.doctor.doors import (
    Own,
    account_of,
    by_sid,
    deed,
    remove,
    show,
    standing,
    unread_findings,
    url_findings,
    whom,
)
from lattice_bridge.deployment.doctor.facts import Deployed, Name, TargetGroup, target_name, target_names
from lattice_bridge.deployment.doctor.findings import LEVELS, Finding, Level, Shell, Unread, free_name, listed
from lattice_bridge.deployment.iam.condition import Asked
from lattice_bridge.deployment.iam.pattern import is_pattern
from lattice_bridge.deployment.iam.policy import INVOKE, Statement

LATTICE: Final = "vpc-lattice.amazonaws.com"
_LATTICE: Final = frozenset({("Service", LATTICE), ("Service", "*"), ("*", "*")})
"""How a statement may name it."""
_OWN: Final = Own(frozenset({("Service", LATTICE)}))
_SOURCE: Final = "aws:sourcearn"
_ACCOUNT: Final = "aws:sourceaccount"


def invoker_findings(deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    """The bridge's resource policies, function URLs and event sources."""
    groups = [group.arn for group in deployed.groups if isinstance(group, TargetGroup)]
    wanted = f"{LATTICE} alone, from {listed(groups) or 'its target group'}"
    yield from unread_findings(deployed.bridge, deployed.aliases, deployed.doors, deployed.left, wanted)
    for door in deployed.doors:
        if not isinstance(door.statements, Unread) and not deployed.lacks(door.name):
            yield from _policy_findings(door.name, door.statements, deployed, wanted, shell)
    yield from url_findings(deployed.bridge, deployed.urls, "none: who calls it writes the event", shell)
    yield from _source_findings(deployed, shell)


def _policy_findings(
    name: Name, statements: tuple[Statement, ...], deployed: Deployed, wanted: str, shell: Shell
) -> Iterator[Finding]:
    """The statements that let Lattice in too widely come after the one that lets it in rightly: the order in which the
    commands can be pasted without a request that fails."""
    subject = f"invoke permission {name.short}"
    sending = [
        group for group in deployed.groups if isinstance(group, TargetGroup) and _may_send_to(group, name, deployed)
    ]
    problems = [(one, _problem(one, name, deployed)) for one in statements]
    good = [one for one, problem in problems if problem is None]
    right = [group.arn for group in sending if any(admits(one, group.arn) for one in good)]
    if right:
        yield Finding("ok", subject, f"{LATTICE} from {listed(right)}", wanted)
    alone = False
    for group in sending:
        if group.arn not in right and _sends_to(group, name):
            found = _missing(group.arn, name, statements, deployed, wanted, shell)
            alone = alone or any(may_admit(one, group.arn) for one in statements)
            yield found
    for statement, problem in problems:
        if problem is not None:
            level, text = problem
            mend = remove(statement, name, shell)
            if unread := _unread_of(statement, deployed):
                mend = f"once {listed(unread)} can be read, and has a statement of its own if it sends here: {mend}"
            elif alone and _is_for_lattice(statement):
                mend = f"once {LATTICE} is let in by a statement of its own, as said above: {mend}"
            yield Finding(level, subject, text, wanted, None if level == "unknown" else mend)
    if sending:
        yield from _denied_findings(subject, name, statements, wanted, shell)
        yield from _denied_as_well_findings(subject, name, deployed, wanted, shell)


def _unread_of(statement: Statement, deployed: Deployed) -> list[str]:
    """The target groups that a statement lets in, and of which nobody knows whether they send here."""
    unread = [group.resource for group in deployed.groups if isinstance(group, Unread)]
    known = (group for group in deployed.groups if isinstance(group, TargetGroup))
    unread += [group.arn for group in known if isinstance(group.targets, Unread)]
    named = [arn for arn in unread if may_admit(statement, arn)]
    sources = statement.values(_SOURCE)
    wide = sources is None or any(one.is_pattern for one in sources)
    return ["what sends here"] if isinstance(deployed.unseen, Unread) and wide and _is_for_lattice(statement) else named


def _sends_to(group: TargetGroup, name: Name) -> bool:
    return not isinstance(group.targets, Unread) and any(target_name(one, name) == name for one in group.targets)


def _may_send_to(group: TargetGroup, name: Name, deployed: Deployed) -> bool:
    """Where its targets cannot be read, or name what is not there, any name may be meant, and none has to be."""
    if isinstance(group.targets, Unread) or _sends_to(group, name):
        return True
    return any(deployed.lacks(one) for one in target_names((group,), name))


def _missing(
    group: str, name: Name, statements: tuple[Statement, ...], deployed: Deployed, wanted: str, shell: Shell
) -> Finding:
    """The line for a target group that no statement of its own lets in."""
    subject, mend = f"invoke permission {name.short}", admit(name, group, statements, shell)
    if any(admits(one, group) for one in statements):
        found = f"{LATTICE} from {group} is admitted by what should go alone"
        return Finding("error", subject, found, wanted, mend)
    if any(may_admit(one, group) for one in (*statements, *_for_more_names(name, deployed))):
        where = "under a condition, with everybody, or by the bare name's policy"
        return Finding("unknown", subject, f"{LATTICE} from {group} may be admitted: {where}", wanted, mend)
    return Finding("error", subject, f"{LATTICE} from {group} is not admitted", wanted, mend)


def _for_more_names(name: Name, deployed: Deployed) -> list[Statement]:
    """Of the bare name's policy: one that was put as a whole may be for a function and all of its versions and
    aliases."""
    bare = next((door.statements for door in deployed.doors if door.name == Name(name.arn)), ())
    known = () if isinstance(bare, Unread) or name.qualifier is None else bare
    wide = (one for one in known if one.not_resources is not None or any(map(is_pattern, one.resources)))
    return [one for one in wide if one.may_name_resource(name.qualified)]


def _is_for_lattice(statement: Statement) -> bool:
    """By its name, or as one of everybody."""
    return statement.all_but or bool(_LATTICE & set(statement.principals))


def _from(group: str) -> dict[str, str]:
    """What Lambda is told of a request from a target group."""
    return {_SOURCE: group, _ACCOUNT: account_of(group) or ""}


def may_admit(statement: Statement, group: str) -> bool:
    """It is for Lattice and this group, as far as can be told."""
    return (
        statement.effect == "Allow"
        and statement.names_action(INVOKE)
        and _is_for_lattice(statement)
        and statement.may_hold_for(_from(group))
    )


def admits(statement: Statement, group: str) -> bool:
    """Whether it lets Lattice invoke from a target group, under no condition but the group's ARN and account."""
    named = ("Service", LATTICE) in statement.principals and not statement.all_but
    return named and may_admit(statement, group) and statement.holds_for(_from(group))


def _problem(statement: Statement, name: Name, deployed: Deployed) -> tuple[Level, str] | None:
    """How bad what a statement lets in is at worst, and what that is; None for what should be, or lets nobody in."""
    if (worst := standing(statement, _OWN)) is not None:
        return worst, f"{whom(statement, _OWN)} may {deed(statement)}{by_sid(statement)}"
    if statement.effect == "Deny" or statement.only_looks:
        return None
    sources = statement.values(_SOURCE)
    if () in (sources, statement.values(_ACCOUNT)):
        text = f"{LATTICE} may never: no target group is as its conditions ask; a wildcard under StringEquals is none"
        return "warning", f"{text}{by_sid(statement)}"
    if sources is None:
        return "error", f"{LATTICE} may, from anybody's target group: no aws:SourceArn{by_sid(statement)}"
    judged = [found for source in sources if (found := _source_problem(source, statement, name, deployed))]
    level, text = min(judged, key=lambda one: LEVELS.index(one[0]), default=("ok", ""))
    return (level, f"{LATTICE} {text}{by_sid(statement)}") if text else None


def _source_problem(source: Asked, statement: Statement, name: Name, deployed: Deployed) -> tuple[Level, str] | None:
    if source.is_pattern:
        return "error", f"may, from every target group like {source.text}"
    if account_of(source.text) != deployed.bridge.account or ":targetgroup/" not in source.text.lower():
        return "error", f"may, from {source.text}, which does not send to it"
    if any(isinstance(group, Unread) and source.may_hold(group.resource) for group in deployed.groups):
        return "unknown", f"may, from {source.text}, which could not be read"
    known = (group for group in deployed.groups if isinstance(group, TargetGroup))
    group = next((one for one in known if source.may_hold(one.arn)), None)
    if group is None:
        return "warning", f"may, from {source.text}, which does not send to it"
    if not _may_send_to(group, name, deployed):
        return "warning", f"from {source.text}, which sends to another name of the function"
    accounts = statement.values(_ACCOUNT) or ()
    if accounts and not any(one.may_hold(account_of(group.arn) or "") for one in accounts):
        others = listed([one.text for one in accounts])
        return "warning", f"from {source.text} alone, and that of another account: aws:SourceAccount is {others}"
    return None


def _denied_findings(
    subject: str, name: Name, statements: tuple[Statement, ...], wanted: str, shell: Shell
) -> Iterator[Finding]:
    for statement in statements:
        if statement.effect == "Allow" or not statement.names_action(INVOKE) or not _is_for_lattice(statement):
            continue
        if statement.conditions or statement.all_but:
            found = f"{LATTICE} is denied under a condition, which is not looked into{by_sid(statement)}"
            yield Finding("warning", subject, found, wanted, show(name, shell))
        else:
            found = f"{LATTICE} is denied: every request fails{by_sid(statement)}"
            yield Finding("error", subject, found, wanted, remove(statement, name, shell))


def _denied_as_well_findings(
    subject: str, name: Name, deployed: Deployed, wanted: str, shell: Shell
) -> Iterator[Finding]:
    """Whether a policy of the bare name counts for an alias as well is not known: it is shown, and stays."""
    for statement in _for_more_names(name, deployed):
        if statement.effect == "Deny" and statement.names_action(INVOKE) and _is_for_lattice(statement):
            found = f"{LATTICE} may be denied: the bare name's policy is for this name too{by_sid(statement)}"
            yield Finding("warning", subject, found, wanted, show(Name(name.arn), shell))


def admit(name: Name, group: str, statements: Sequence[Statement], shell: Shell) -> str:
    """Lets Lattice invoke one of a function's names, from one target group.

    Args:
        statements: of the name's policy: none has the id of the one that is added.
    """
    sid = free_name(f"lattice-{group.rpartition('/')[2]}", [one.sid for one in statements])
    words = ("--statement-id", sid, "--action", INVOKE, "--principal", LATTICE, "--source-arn", group)
    return shell.of_function("add-permission", name.arn, *name.version, *words)


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
