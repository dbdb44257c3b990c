"""Invokers: every principal that may run the bridge, a backend, or code with the bridge's role.

Rule: no policy restricts which tenant an invoker names, and an invoker of the bridge writes the event. So Lattice and
the fronts of bridge.toml alone may invoke the bridge; the bridge's role alone may invoke a backend; Lambda alone may
assume the role. A principal that may change a function may do all that the function may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.facts import (
    BackendFunction,
    Configuration,
    DeployedFunction,
    Deployment,
    Function,
    FunctionName,
    RolePolicies,
    SourceFunction,
    TargetGroup,
    Unread,
    known,
    target_name,
    target_names,
)
from lattice_bridge.deployment.doctor.findings import (
    LEVELS,
    Command,
    Finding,
    Level,
    function_command,
    listed,
    unread_finding,
)
from lattice_bridge.deployment.doctor.fronts import (
    enabled_fronts,
    expected_fronts,
    front_problem,
    is_only_for_url,
)
from lattice_bridge.deployment.iam.access import (
    ASSUME,
    ASSUMES,
    LAMBDA,
    LATTICE,
    Permitted,
    Severity,
    account_of,
    admits_group,
    has_only,
    includes_lattice,
    is_for_role,
    may_admit_group,
    severity,
    unexpected,
)
from lattice_bridge.deployment.iam.policy import INVOKE, ConditionValue, Statement, is_pattern

# ---- one statement --------------------------------------------------------------------------------------------------


def _excess(statement: Statement, permitted: Permitted) -> tuple[Severity, str] | None:
    """How bad it is what a statement allows, and the principals that it allows it to; None if it is permitted."""
    if (level := severity(statement, permitted)) is None:
        return None
    return level, listed([name for name, _level in unexpected(statement, permitted)])


def _denial(statement: Statement, actual: str, outcome: str) -> tuple[Severity, str]:
    """How bad a Deny is, and its text. A condition is not evaluated."""
    if statement.conditions:
        return "warning", f"{actual} under a condition, which is not evaluated{_by(statement)}"
    return "error", f"{actual}: {outcome}{_by(statement)}"


def _actions_text(statement: Statement) -> str:
    if statement.not_actions is not None:
        return f"do everything to it but {listed(statement.not_actions)}"
    return "invoke it" if has_only(statement, "lambda:invoke") else f"call {listed(statement.actions)} on it"


def _by(statement: Statement) -> str:
    return f", by statement {statement.sid}" if statement.sid else ""


def _removal(statement: Statement, name: FunctionName) -> str:
    """The command that removes a statement: safe only if nothing that is expected depends on the statement."""
    found = function_command("lambda remove-permission", name, statement_id=statement.sid)
    return found if isinstance(found, Command) else f"remove {_sid(statement)} from the resource policy of {name.label}"


def _removal_after(first: str, statement: Statement, name: FunctionName) -> str:
    return f"first {first}; then remove {_sid(statement)} from the resource policy of {name.label}"


def _sid(statement: Statement) -> str:
    return f"statement {statement.sid}" if statement.sid else "the statement without an id"


# ---- every function -------------------------------------------------------------------------------------------------


def _unread_findings(function: DeployedFunction, expected: str) -> Iterator[Finding]:
    """The resource policies that were not read."""
    if isinstance(function.aliases, Unread):
        subject = f"aliases of {function.name.name}"
        yield unread_finding(subject, function.aliases, "readable: each alias has a policy of its own")
    by_cause: dict[str, list[tuple[FunctionName, Unread]]] = {}
    for policy in function.policies:
        if isinstance(policy.statements, Unread):
            by_cause.setdefault(policy.statements.cause, []).append((policy.name, policy.statements))
    for (name, unread), *others in by_cause.values():
        more = f" and {len(others)} other name{'' if len(others) == 1 else 's'} of it" if others else ""
        subject = f"invoke permission {name.label}{more}"
        yield unread_finding(subject, replace(unread, resource=f"{name.arn}*") if others else unread, expected)
    subject, left = f"versions of {function.name.name}", function.versions_left
    if isinstance(left, Unread):
        yield unread_finding(subject, left, "readable: each version has a policy of its own")
    elif left:
        fix = "delete the versions that nothing uses"
        yield Finding("unknown", subject, f"{left} more, whose policies were not read", "no unused versions", fix)


def _url_findings(function: DeployedFunction, expected: str, *, is_enabled: bool = False) -> Iterator[Finding]:
    """Judges the function URLs: none is expected, unless bridge.toml enables that of the bridge."""
    subject = f"function URL {function.name.name}"
    if isinstance(function.urls, Unread):
        yield unread_finding(subject, function.urls, expected)
    elif not function.urls:
        yield Finding("ok", subject, "none", expected)
    else:
        for arn, auth_type in function.urls:
            name = FunctionName(function.name.arn, arn.removeprefix(function.name.arn).removeprefix(":") or None)
            if is_enabled and auth_type == "AWS_IAM":
                yield Finding("ok", subject, f"{name.label} has one, with AWS_IAM", expected)
                continue
            fix = function_command("lambda delete-function-url-config", name)
            if is_enabled:
                fix = f"set the AuthType of the function URL of {name.label} to AWS_IAM"
            actual = f"{name.label} has one"
            if auth_type != "AWS_IAM":
                actual = f"{actual}, with AuthType {auth_type}: anyone on the internet may call it"
            yield Finding("error", subject, actual, expected, fix)


# ---- the bridge -----------------------------------------------------------------------------------------------------

_NO_URL: Final = "none: its callers write the event"
_PERMITTED: Final = Permitted(frozenset({("Service", LATTICE)}))
_SOURCE: Final = "aws:sourcearn"
_ACCOUNT: Final = "aws:sourceaccount"


def bridge_invoker_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges the bridge's resource policies and function URLs."""
    groups = [group.arn for group in deployment.known_groups]
    options = configuration.options
    fronts = "".join(f"; and {one}" for one in expected_fronts(options))
    expected = f"{LATTICE} only, from {listed(groups) or 'its target group'}{fronts}"
    yield from _unread_findings(deployment.bridge, expected)
    for policy in deployment.bridge.policies:
        if not isinstance(policy.statements, Unread) and not deployment.lacks(policy.name):
            yield from _policy_findings(policy.name, policy.statements, deployment, options, expected)
    urls = "AWS_IAM: Lambda verifies the caller's signature" if options.function_url else _NO_URL
    yield from _url_findings(deployment.bridge, urls, is_enabled=options.function_url)


def _policy_findings(
    name: FunctionName,
    statements: tuple[Statement, ...],
    deployment: Deployment,
    options: Options,
    expected: str,
) -> Iterator[Finding]:
    """Judges one resource policy of the bridge. What is missing comes before what must be removed."""
    subject = f"invoke permission {name.label}"
    sending = [group for group in deployment.known_groups if _may_send_to(group, name, deployment)]
    problems = [(statement, _problem(statement, name, deployment, options)) for statement in statements]
    good = [statement for statement, problem in problems if problem is None]
    right = [group.arn for group in sending if any(admits_group(statement, group.arn) for statement in good)]
    if right:
        yield Finding("ok", subject, f"{LATTICE} from {listed(right)}", expected)
    missing = [group.arn for group in sending if group.arn not in right and _sends_to(group, name)]
    for arn in missing:
        yield _missing_finding(arn, name, statements, deployment, expected)
    for statement, problem in problems:
        if problem is not None:
            level, actual = problem
            first = "make sure that each target group that sends here has a statement of its own"
            certain = deployment.groups_are_known and not missing
            safe = certain or not includes_lattice(statement)
            fix = _removal(statement, name) if safe else _removal_after(first, statement, name)
            yield Finding(level, subject, actual, expected, None if level == "unknown" else fix)
    if sending:
        yield from _deny_findings(subject, name, statements, deployment, expected)


def _sends_to(group: TargetGroup, name: FunctionName) -> bool:
    return any(target_name(one, name) == name for one in known(group.targets))


def _may_send_to(group: TargetGroup, name: FunctionName, deployment: Deployment) -> bool:
    """If its targets cannot be read, or do not exist, the group may be meant for any name."""
    if isinstance(group.targets, Unread) or _sends_to(group, name):
        return True
    return any(deployment.lacks(one) for one in target_names((group,), name))


def _missing_finding(
    group: str, name: FunctionName, statements: tuple[Statement, ...], deployment: Deployment, expected: str
) -> Finding:
    """The finding for a target group that no statement of its own admits."""
    subject = f"invoke permission {name.label}"
    sid = f"lattice-{group.rpartition('/')[2]}"
    fix = f"allow {INVOKE} to {LATTICE} in the resource policy of {name.label}, with aws:SourceArn {group}"
    if all(statement.sid != sid for statement in statements):
        call = f"lambda add-permission --action {INVOKE} --principal {LATTICE}"
        fix = function_command(call, name, statement_id=sid, source_arn=group)
    if any(admits_group(statement, group) for statement in statements):
        actual = f"{LATTICE} from {group} is admitted only by a statement that has to be removed"
        return Finding("error", subject, actual, expected, fix)
    if any(may_admit_group(statement, group) for statement in (*statements, *_wide_statements(name, deployment))):
        where = "under a condition, as one of everyone, or by the policy of the bare name"
        return Finding("unknown", subject, f"{LATTICE} from {group} may be admitted: {where}", expected, fix)
    return Finding("error", subject, f"{LATTICE} from {group} is not admitted", expected, fix)


def _wide_statements(name: FunctionName, deployment: Deployment) -> list[Statement]:
    """The statements of the bare name's policy whose resource may include its versions and aliases. PutResourcePolicy
    can set such a policy as a whole."""
    if name.qualifier is None:
        return []
    bare = next((one.statements for one in deployment.bridge.policies if one.name == FunctionName(name.arn)), ())
    wide = (one for one in known(bare) if one.not_resources is not None or any(map(is_pattern, one.resources)))
    return [one for one in wide if one.may_name_resource(name.qualified)]


def _problem(
    statement: Statement, name: FunctionName, deployment: Deployment, options: Options
) -> tuple[Level, str] | None:
    """The worst that a statement allows, with its level; None if it allows nothing but the expected."""
    if options.function_url and statement.effect == "Allow" and is_only_for_url(statement):
        everyone = statement.all_but or ("*", "*") in statement.principals
        actual = f"every AWS principal may call the function URL: the map is the only guard{_by(statement)}"
        return ("warning", actual) if everyone else None
    permitted = replace(_PERMITTED, principals=_PERMITTED.principals | enabled_fronts(options))
    if (excess := _excess(statement, permitted)) is not None:
        return excess[0], f"{excess[1]} may {_actions_text(statement)}{_by(statement)}"
    if statement.effect == "Deny" or statement.only_reads:
        return None
    if not includes_lattice(statement):
        problem = front_problem(statement, name, options)
        return None if problem is None else ("error", f"{problem}{_by(statement)}")
    sources = statement.values(_SOURCE)
    if () in (sources, statement.values(_ACCOUNT)):
        actual = f"{LATTICE} is never admitted: no target group meets the conditions (StringEquals has no wildcards)"
        return "warning", f"{actual}{_by(statement)}"
    if sources is None:
        return (
            "error",
            f"{LATTICE} may invoke it from any target group of any account: no aws:SourceArn{_by(statement)}",
        )
    judged = [found for source in sources if (found := _source_problem(source, statement, name, deployment))]
    if not judged:
        return None
    level, actual = min(judged, key=lambda one: LEVELS.index(one[0]))
    return level, f"{LATTICE} {actual}{_by(statement)}"


def _source_problem(
    source: ConditionValue, statement: Statement, name: FunctionName, deployment: Deployment
) -> tuple[Level, str] | None:
    if source.is_pattern:
        return "error", f"may invoke it from every target group that matches {source.text}"
    if account_of(source.text) != deployment.bridge.name.account or ":targetgroup/" not in source.text.lower():
        return "error", f"may invoke it from {source.text}, which does not send to the bridge"
    if any(isinstance(group, Unread) and source.may_hold(group.resource) for group in deployment.groups):
        return "unknown", f"may invoke it from {source.text}, which could not be read"
    group = next((one for one in deployment.known_groups if source.may_hold(one.arn)), None)
    if group is None:
        return "warning", f"may invoke it from {source.text}, which does not send to the bridge"
    if not _may_send_to(group, name, deployment):
        return "warning", f"may invoke it from {source.text}, which sends to another name of the function"
    accounts = statement.values(_ACCOUNT) or ()
    if accounts and not any(one.may_hold(account_of(group.arn) or "") for one in accounts):
        return "warning", f"may never invoke it: aws:SourceAccount is not the account of {source.text}"
    return None


def _deny_findings(
    subject: str, name: FunctionName, statements: tuple[Statement, ...], deployment: Deployment, expected: str
) -> Iterator[Finding]:
    """Whether the policy of the bare name also applies to an alias is not documented, so that is only a warning."""
    for statement in _denies(statements):
        if statement.conditions or statement.all_but:
            actual = f"{LATTICE} is denied under a condition, which is not evaluated{_by(statement)}"
            fix = f"make sure that the Deny in the resource policy of {name.label} does not apply to Lattice"
            yield Finding("warning", subject, actual, expected, fix)
        else:
            actual = f"{LATTICE} is denied: every request fails{_by(statement)}"
            yield Finding("error", subject, actual, expected, _removal(statement, name))
    for statement in _denies(_wide_statements(name, deployment)):
        actual = f"{LATTICE} may be denied: the policy of the bare name includes this name{_by(statement)}"
        fix = f"make sure that the Deny in the resource policy of {name.name} does not apply to Lattice"
        yield Finding("warning", subject, actual, expected, fix)


def _denies(statements: Iterable[Statement]) -> list[Statement]:
    """The statements that deny Lattice an Invoke."""
    return [one for one in statements if one.effect == "Deny" and one.names_action(INVOKE) and includes_lattice(one)]


# ---- backends -------------------------------------------------------------------------------------------------------

_ROLE_ONLY: Final = "the bridge's role only"


def backend_invoker_findings(backend: BackendFunction | SourceFunction, deployment: Deployment) -> Iterator[Finding]:
    """Judges the resource policies and function URLs of a function behind the bridge; once for each function."""
    yield from _role_admission_findings(backend.function, deployment)
    same = [one for one in deployment.behind if one.function.name.arn == backend.function.name.arn]
    if backend is same[0] and backend.function.policies:  # in another Region nothing was read, which was said
        isolated = any(one.isolated for one in same)
        yield from _unread_findings(backend.function, _ROLE_ONLY)
        yield from _bypass_findings(backend.function, deployment, ", as any tenant" if isolated else "")
        yield from _url_findings(backend.function, "none: its callers bypass the bridge")


def _bypass_findings(function: DeployedFunction, deployment: Deployment, as_tenant: str) -> Iterator[Finding]:
    """The principals that may invoke a backend without the bridge, under any of its names."""
    accounts = frozenset({function.name.account, deployment.bridge.name.account})
    permitted = Permitted(frozenset(("AWS", role) for role in deployment.roles), accounts)
    role_unread = any(isinstance(one.configuration, Unread) for one in deployment.all_serving)
    for policy in function.policies:
        subject = f"invoke permission {policy.name.label}"
        for statement in known(policy.statements):
            if (excess := _excess(statement, permitted)) is None:
                continue
            level, principals = excess
            actual = f"{principals} may {_actions_text(statement)} without the bridge{as_tenant}{_by(statement)}"
            if role_unread and level == "warning":
                actual = f"{actual}, unless that is the bridge's role, which could not be read"
                yield Finding("unknown", subject, actual, _ROLE_ONLY)
            else:
                fix = _bypass_fix(statement, policy.name, function.name, deployment)
                yield Finding(level, subject, actual, _ROLE_ONLY, fix)


def _bypass_fix(statement: Statement, name: FunctionName, backend: FunctionName, deployment: Deployment) -> str:
    """A statement that also admits the bridge may be the only one. In the bridge's own account a policy of its role can
    replace it, in another account only another statement."""
    if deployment.roles and not any(is_for_role(statement, role) for role in deployment.roles):
        return _removal(statement, name)
    if backend.account != deployment.bridge.name.account:
        return _removal_after("give the bridge's role a statement of its own there", statement, name)
    first = f"make sure that a policy of the bridge's role allows {INVOKE} on {backend.qualified}"
    return _removal_after(first, statement, name)


def _role_admission_findings(function: DeployedFunction, deployment: Deployment) -> Iterator[Finding]:
    """The bridge must not be denied; and in another account, the function's own policy must allow its role."""
    name, statements = function.name.policy_name, function.own_policy
    if statements is None or isinstance(statements, Unread) or not isinstance(function.configuration, Function):
        return
    subject = f"invoke permission {name.label}"
    look = f"make sure that the condition in the resource policy of {name.label} holds for the bridge"
    for statement in statements:
        if statement.effect == "Deny" and any(is_for_role(statement, role) for role in deployment.roles):
            level, actual = _denial(statement, "the bridge is denied", "every request is answered with 500")
            fix = look if level == "warning" else _removal(statement, name)
            yield Finding(level, subject, actual, _ROLE_ONLY, fix)
    for role in sorted(deployment.roles) if function.name.account != deployment.bridge.name.account else ():
        allowing = [one for one in statements if one.effect == "Allow" and is_for_role(one, role)]
        if not allowing:
            actual = f"{role} is not admitted, and is of another account: every request is answered with 500"
            fix = f"allow {INVOKE} to {role} in the resource policy of {name.label}"
            yield Finding("error", subject, actual, _ROLE_ONLY, fix)
        elif all(one.conditions for one in allowing):
            actual = f"{role} is admitted under a condition, which is not evaluated"
            yield Finding("unknown", subject, actual, _ROLE_ONLY, look)


# ---- the role -------------------------------------------------------------------------------------------------------

_LAMBDA: Final = ("Service", LAMBDA)


def trust_findings(deployment: Deployment) -> Iterator[Finding]:
    """Judges the trust policies of the roles that the bridge runs as."""
    trusts = {
        one.configuration.role.rpartition("/")[2]: one.role_policies.trust
        for one in deployment.all_serving
        if isinstance(one.configuration, Function) and isinstance(one.role_policies, RolePolicies)
    }
    for role, trust in trusts.items():
        subject, expected = f"trust of role {role}", f"only {LAMBDA} may assume it"
        if isinstance(trust, Unread):
            yield unread_finding(subject, trust, expected)
        else:
            found = list(_trust_problems(trust, deployment.account))
            fix = f"change the trust policy of role {role}"
            yield from (Finding(level, subject, actual, expected, fix) for level, actual in found)
            if not found:
                yield Finding("ok", subject, f"{LAMBDA} may assume it", expected)


def _trust_problems(trust: tuple[Statement, ...], account: str) -> Iterator[tuple[Level, str]]:
    permitted = Permitted(frozenset({_LAMBDA}), frozenset({account}), "sts:")
    allowing = [one for one in trust if one.effect == "Allow" and any(map(one.names_action, ASSUMES))]
    for one in allowing:
        if (excess := _excess(one, permitted)) is not None:
            yield excess[0], f"{excess[1]} may assume it, and act as any tenant of every backend{_by(one)}"
    for one in trust:
        denies = bool({_LAMBDA, ("Service", "*"), ("*", "*")} & set(one.principals)) is not one.all_but
        if one.effect == "Deny" and one.names_action(ASSUME) and denies:
            yield _denial(one, "Lambda is denied to assume it", "the bridge cannot run")
    if not any(_LAMBDA in one.principals and one.names_action(ASSUME) for one in allowing):
        yield "error", "Lambda may not assume it: the bridge cannot run"
