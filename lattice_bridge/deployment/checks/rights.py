"""IAM rights in a template: which roles may invoke which functions, and who may assume the bridge's role.

Rule: the bridge's role may invoke each function as bridge.toml names it, and no other one. No other role may invoke
the bridge, or a pattern of functions. Every policy counts, wherever it is attached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from lattice_bridge.config.words import nearest
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    ONLY_LATTICE,
    PIPE,
    Bridge,
    FunctionReference,
    Invoked,
    Stack,
    TemplateFinding,
    consequence,
    finding,
    has_name,
    is_logical_id,
    is_named,
    items_of,
    may_be,
    name_of,
    parse_reference,
    refers_to,
    warning,
    without_placeholder,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, MARKER, unresolved
from lattice_bridge.deployment.iam.access import ASSUME, ASSUMES, LAMBDA, Permitted, grant_of, unexpected
from lattice_bridge.deployment.iam.policy import INVOKE, BadPolicy, Statement, matches, overlap, read_statement
from lattice_bridge.review.finding import Level

_INVOKE_ASYNC: Final = "lambda:InvokeAsync"
_HOLDERS: Final = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
_POLICIES: Final = (
    *("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"),
    *("AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy", "AWS::IAM::GroupPolicy"),
)
_WIDE: Final = (
    *("AdministratorAccess", "PowerUserAccess", "AWSLambda_FullAccess", "AWSLambdaFullAccess", "AWSLambdaRole"),
    "AWSLambdaInvocation-DynamoDB",
)
"""Managed policies of AWS that allow every function to be invoked."""
_DECISIVE: Final = ("Effect", "Principal", "Condition")
"""Elements without which a statement may mean one thing or its opposite."""

_ONLY_MEANT: Final = "A role may invoke only the functions that it needs, because it invokes each of them as any tenant"
_PIPES: Final = "pipes.amazonaws.com"
_ONLY_PIPES: Final = "Only the pipe may have this role: any other holder writes the records that the bridge receives"
_ONLY_BRIDGE: Final = "Only the bridge may have its role: any other holder can be any tenant of every backend"


# ---- policies -------------------------------------------------------------------------------------------------------


class UncheckedPart(NamedTuple):
    """A part of a policy that was not read.

    Attributes:
        reason: the part, or what is wrong with it.
        is_malformed: whether IAM refuses it; otherwise only a deployed stack knows it.
    """

    reason: str
    is_malformed: bool = False

    def finding(self, place: str) -> TemplateFinding:
        """An error if the part is malformed, otherwise a warning."""
        if self.is_malformed:
            fix = "write the statement as the IAM User Guide defines it"
            return finding(place, f"a policy is malformed: {self.reason}", "AWS refuses to deploy such a policy", fix)
        fix = "write the policy itself in the template"
        return warning(place, f"a policy was not checked: {self.reason}", NOT_KNOWN, fix)


def read_statements(written: object) -> tuple[list[Statement], list[UncheckedPart]]:
    """The statements of a policy, which is a map or JSON text, and the parts that were not read."""
    if isinstance(written, str):
        with suppress(ValueError, RecursionError):  # the text itself is then the reason
            written = json.loads(written)
    if written is None:
        return [], []
    statements: list[Statement] = []
    unread: list[UncheckedPart] = []
    whole = isinstance(written, dict) and _unknown_part(written) is None
    for part in items_of(written.get("Statement")) if isinstance(written, dict) and whole else [written]:
        if (reason := _unknown_part(part)) is not None:
            unread.append(UncheckedPart(reason))
            continue
        try:
            statements.append(read_statement(_with_known_operands(part)))
        except BadPolicy as error:
            unread.append(UncheckedPart(str(error), is_malformed=True))
    return statements, unread


def _unknown_part(part: object) -> str | None:
    """The part of a policy or statement without which it cannot be read; None if there is none."""
    if not isinstance(part, dict):
        found = MARKER.search(str(part))
        return found[0] if found else f"{str(part)[:60]!r}, which is neither a map nor JSON"
    calls = [str(key) for key in part if str(key).startswith("Fn::")]
    calls += [f"{key} is {part[key]}" for key in _DECISIVE if isinstance(part.get(key), str) and unresolved(part[key])]
    return calls[0] if calls else None


def _with_known_operands(statement: Any) -> dict[str, Any]:
    """A statement in which an unresolved operand of a condition is an unknown key, so that the rest is checked."""
    condition = statement.get("Condition")
    if not isinstance(condition, dict):
        return dict(statement)
    unknown: dict[str, Any] = {
        name: {keys: []} for name, keys in condition.items() if isinstance(keys, str) and unresolved(keys)
    }
    return {**statement, "Condition": {**condition, **unknown}}


@dataclass(frozen=True, slots=True)
class Policy:
    """An identity policy in the template.

    Attributes:
        place: the logical id of the resource that contains it.
        roles: the names of the roles that have it.
        statements: those that could be read.
        unread: the parts that were not read.
    """

    place: str
    roles: frozenset[str]
    statements: list[Statement]
    unread: list[UncheckedPart]


def policies_of(template: Template) -> Iterator[Policy]:
    for holder in template.of_type(*_HOLDERS):
        roles = frozenset({role_name(holder.arn)} if holder.type == "AWS::IAM::Role" else ())
        for policy in items_of(holder.properties.get("Policies")):
            written = policy.get("PolicyDocument") if isinstance(policy, dict) else policy
            yield Policy(holder.id, roles, *read_statements(written))
    for policy in template.of_type(*_POLICIES):
        named = [*items_of(policy.properties.get("Roles")), *items_of(policy.properties.get("RoleName"))]
        attached = [
            role.arn
            for role in template.of_type("AWS::IAM::Role")
            if any(_is_policy(arn, policy) for arn in items_of(role.properties.get("ManagedPolicyArns")))
        ]
        roles = frozenset(map(role_name, (*named, *attached)))
        yield Policy(policy.id, roles, *read_statements(policy.properties.get("PolicyDocument")))


def unread_findings(template: Template) -> Iterator[TemplateFinding]:
    """A warning for each part of an identity policy that was not read."""
    for policy in policies_of(template):
        for unread in policy.unread:
            yield unread.finding(policy.place)


def _is_policy(arn: object, policy: Resource) -> bool:
    """Whether an ARN is that of a managed policy of the template."""
    own = policy.type == "AWS::IAM::ManagedPolicy" and not _is_of_aws(arn)
    return own and role_name(arn) == role_name(policy.arn)


def _is_of_aws(arn: object) -> bool:
    """Whether an ARN is that of one of AWS's own managed policies, in any partition."""
    return ":iam::aws:policy/" in str(arn)


def role_name(text: object) -> str:
    """The name of a role or policy, from its ARN or as it is."""
    return str(text).rpartition("/")[2]


# ---- statements about invoking --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Right:
    """A statement that may be about invoking functions.

    Attributes:
        place: the logical id of the resource that contains it.
        roles: the names of the roles that have it.
        statement: as IAM's model has it.
    """

    place: str
    roles: frozenset[str]
    statement: Statement

    @property
    def functions(self) -> list[str]:
        """Its resources, without the ARNs of other services."""
        return [one for one in self.statement.resources if _may_be_function(one)]

    @property
    def is_about_invoking(self) -> bool:
        about = self._names(INVOKE) is not False or self._names(_INVOKE_ASYNC) is not False
        return about and (self.statement.not_resources is not None or bool(self.functions))

    def _names(self, action: str) -> bool | None:
        """Whether it is about an action; None if only a deployed stack knows."""
        negated = self.statement.not_actions is not None
        names = self.statement.names_action(action)
        return None if unresolved(self.statement.not_actions or self.statement.actions) and names is negated else names

    def reaches(self, wanted: FunctionReference, template: Template) -> bool | None:
        """Whether it is about invoking what bridge.toml names; None if only a deployed stack knows."""
        negated = self.statement.not_resources
        covered = [_covers(one, wanted, template) for one in (self.functions if negated is None else negated)]
        found = True if True in covered else None if None in covered else False
        found = found if negated is None or found is None else not found
        names = self._names(INVOKE)
        return False if False in (found, names) else None if None in (found, names) else True

    def unknown_in(self, wanted: FunctionReference, template: Template) -> str:
        """The unresolved part because of which it is not known whether it is about a function."""
        statement = self.statement
        for key, patterns in (("NotResource", statement.not_resources or ()), ("Resource", statement.resources)):
            for one in patterns:
                if _covers(one, wanted, template) is None:
                    return f"{key} is {one}"
        return f"the actions are {', '.join(statement.not_actions or statement.actions)}"


def _may_be_function(resource: str) -> bool:
    parts = resource.split(":")
    return parts[0] != "arn" or len(parts) < 3 or matches(parts[2], "lambda") or unresolved(parts[2])


def _covers(resource: str, wanted: FunctionReference, template: Template) -> bool | None:
    """Whether a policy's Resource is for what bridge.toml names; None if only a deployed stack knows."""
    known = template.given
    region, account = wanted.region or known.get("AWS::Region"), wanted.account or known.get("AWS::AccountId")
    fields = resource.split(":", 6)
    if len(fields) == 7:
        theirs = None if fields[3] == template.region and "AWS::Region" not in known else fields[3]
        owner = None if fields[4] == ACCOUNT and "AWS::AccountId" not in known else fields[4]
        tail = without_placeholder(fields[6], template)
        both = ((fields[2], "lambda"), (theirs, region), (owner, account), (fields[5], "function"), (tail, str(wanted)))
        if not all(one is None or other is None or may_be(one, other) for one, other in both):
            return False
        return None if _is_open(resource, template) else True
    reached = may_be(resource, f"arn:aws:lambda:{region or template.region}:{account or ACCOUNT}:function:{wanted}")
    return None if reached and unresolved(resource) else reached


def _is_open(resource: str, template: Template) -> bool:
    """Whether something is unresolved beside the name of one of the template's own functions."""
    found = parse_reference(resource)
    functions = [one for one in template.of_type("AWS::Lambda::Function") if has_name(one)]
    own = found is not None and any(found.name == name_of(one) for one in functions)
    return unresolved(found.qualifier if found is not None and own else resource)


# ---- the rights of a bridge -----------------------------------------------------------------------------------------


def right_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in the rights to invoke."""
    every = [_Right(one.place, one.roles, each) for one in policies_of(stack.template) for each in one.statements]
    rights = [one for one in every if one.is_about_invoking]
    for right in rights:
        if right.statement.effect == "Allow":
            yield from _wide(right, stack)
            yield from _on_a_bridge(right, stack)
    for holder in stack.template.of_type(*_HOLDERS):
        for arn in items_of(holder.properties.get("ManagedPolicyArns")):
            if _is_of_aws(arn) and role_name(arn) in _WIDE:
                fix = "write a statement with lambda:InvokeFunction on each function's ARN"
                yield finding(holder.id, f"it has the managed policy {arn}", _ONLY_MEANT, fix)
    for bridge in stack.bridges:
        yield from _of_a_bridge(bridge, rights, stack)


def _of_a_bridge(bridge: Bridge, rights: list[_Right], stack: Stack) -> Iterator[TemplateFinding]:
    template, written = stack.template, bridge.function.properties.get("Role")
    name = role_name(written)
    role = next((one for one in template.of_type("AWS::IAM::Role") if role_name(one.arn) == name), None)
    elsewhere = [str(written or "it has no Role")] if role is None else _policies_elsewhere(role, template)
    if role is None or elsewhere:
        yield warning(
            bridge.function.id,
            f"its policies are not in this template ({', '.join(elsewhere)})",
            "The bridge needs a statement for each function, and what is not in the template was not checked",
            "put the role and its policies into this template, or check them yourself",
        )
        return
    own = [one for one in rights if name in one.roles]
    parts = [part for policy in policies_of(template) if name in policy.roles for part in policy.unread]
    unread = [part.reason for part in parts if not part.is_malformed]
    surplus = _surplus(own, stack)
    for one in bridge.invoked:
        wanted = parse_reference(one.function)
        if wanted is not None and not any(is_logical_id(wanted, each) for each in stack.functions):
            yield from _right(one, wanted, own, unread, role.id, stack, surplus)
    if stack.compared:
        for written in surplus:
            actual = f'lambda:InvokeFunction is allowed on "{written}", which bridge.toml does not name'
            fix = "remove it from the Resource"
            yield warning(role.id, actual, "The bridge needs no right that it does not use", fix)


def _policies_elsewhere(role: Resource, template: Template) -> list[str]:
    own = template.of_type("AWS::IAM::ManagedPolicy")
    arns = items_of(role.properties.get("ManagedPolicyArns"))
    return sorted(str(arn) for arn in arns if not _is_of_aws(arn) and not any(_is_policy(arn, one) for one in own))


def _right(
    invoked: Invoked,
    wanted: FunctionReference,
    own: list[_Right],
    unread: list[str],
    role: str,
    stack: Stack,
    surplus: list[str],
) -> Iterator[TemplateFinding]:
    template = stack.template
    needed = f"Without the right, {consequence(invoked, 'access_denied')}"
    about = [(one, reached) for one in own if (reached := one.reaches(wanted, template)) is not False]
    for right, reached in ((one, reached) for one, reached in about if one.statement.effect == "Deny"):
        sure = grant_of([(right.statement, reached)]) == "denied"
        actual = f'lambda:InvokeFunction {"is" if sure else "may be"} denied on "{invoked.function}"'
        yield finding(right.place, actual, needed, "remove this Deny", "error" if sure else "warning")
    allowing = [(one, reached) for one, reached in about if one.statement.effect == "Allow"]
    if grant_of((one.statement, reached) for one, reached in allowing) == "allowed":
        return
    if any(reached for _, reached in allowing):
        actual = f'lambda:InvokeFunction is allowed on "{invoked.function}" under a condition only'
        yield warning(role, actual, needed, "remove the Condition, or check that the bridge meets it")
    elif unknown := [one.unknown_in(wanted, template) for one, reached in allowing if reached is None] + unread:
        actual = f'whether lambda:InvokeFunction is allowed on "{invoked.function}" is not known: {unknown[0]}'
        yield warning(role, actual, NOT_KNOWN, "write an ARN in the template, or check that it is this one")
    else:
        actual = f'no statement allows lambda:InvokeFunction on "{invoked.function}", which bridge.toml names'
        fix = f"add the ARN that ends in :function:{wanted} to a Resource"
        same = next((text for text in surplus if text.partition(":")[0] == wanted.name), None)
        meant = (same or nearest(str(wanted), surplus)) if stack.compared else None
        instead = f'. If "{meant}" is meant, which the bridge may invoke, write function = "{meant}" in bridge.toml'
        yield finding(role, actual, needed, f"{fix}{instead}" if meant else fix)


def _surplus(own: list[_Right], stack: Stack) -> list[str]:
    """The functions that the bridge may invoke and that bridge.toml does not name."""
    wanted = [found for one in stack.invoked if (found := parse_reference(one.function)) is not None]
    allowed = [text for one in own if one.statement.effect == "Allow" for text in one.functions]
    single = {text for text in allowed if text.startswith("arn:") and not _has_wildcard(text)}
    misnamed = [one for one in stack.functions if any(is_logical_id(name, one) for name in wanted)]
    return [
        str(parse_reference(text) or text)
        for text in sorted(single)
        if not any(_covers(text, one, stack.template) is not False for one in wanted)
        and not any(refers_to(text, one) for one in misnamed)
    ]


# ---- rights that are too wide ---------------------------------------------------------------------------------------


def _has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text


def _wide(right: _Right, stack: Stack) -> Iterator[TemplateFinding]:
    statement = right.statement
    for action in statement.actions:
        if matches(action.lower(), INVOKE.lower()) and _has_wildcard(action):
            actual = f"the action {action} includes lambda:InvokeFunction"
            yield finding(right.place, actual, _ONLY_MEANT, "write Action: lambda:InvokeFunction")
    if statement.not_actions is not None or statement.not_resources is not None:
        actual = "lambda:InvokeFunction is allowed by NotAction or NotResource"
        fix = "write Action: lambda:InvokeFunction, and each function's ARN as Resource"
        yield finding(right.place, actual, _ONLY_MEANT, fix)
    for resource in right.functions:
        actual = f"lambda:InvokeFunction is allowed on {resource}"
        if _has_wildcard(resource):
            if (level := _level(resource, right, stack)) is not None:
                fix = "write the ARN of each function, or of its alias, as bridge.toml names it"
                yield finding(right.place, actual, _ONLY_MEANT, fix, level)
        elif not resource.startswith("arn:") and stack.names_function(resource):
            fix = "write !GetAtt of the function's Arn, or !Ref of its alias"
            yield finding(right.place, f"{actual}, which is not an ARN", "IAM refuses a policy without ARNs", fix)


def _level(pattern: str, right: _Right, stack: Stack) -> Level | None:
    """How bad a pattern is; None if it does not concern the bridge. A bridge named alone is another finding."""
    if right.roles & {role_name(one.function.properties.get("Role")) for one in stack.bridges}:
        return "error"
    found = parse_reference(pattern)
    if found is not None and not _has_wildcard(found.name):
        elsewhere = [parse_reference(one.function) for one in stack.invoked if one.isolated]
        isolated = [one.name for one in elsewhere if one] + [name_of(one) for one in stack.isolated]
        return "warning" if found.name in isolated else None
    reached = _pattern_reaches(pattern, stack)
    return "error" if reached else "warning" if reached is None else None


def _pattern_reaches(pattern: str, stack: Stack) -> bool | None:
    """Whether a pattern is for a bridge, or for what bridge.toml names; None if only a deployed stack knows."""
    behind = [one.function for one in stack.invoked]
    own = [one.function for one in stack.bridges]
    own += [one for one in stack.functions if any(is_named(one, text, stack.template) for text in behind)]
    wanted = [FunctionReference(name_of(one)) for one in own]
    wanted += [found for text in behind if (found := parse_reference(text)) is not None]
    if any(_overlaps(pattern, one, stack.template) for one in wanted):
        return True
    found = parse_reference(pattern)
    if found is not None and any(found.name.rstrip("*") == name_of(one) for one in stack.functions):
        return False  # the whole name is known, and it is another function's
    opened = [replace(one, name=MARKER.sub("*", one.name)) for one in wanted]
    return None if any(_overlaps(MARKER.sub("*", pattern), one, stack.template) for one in opened) else False


def _overlaps(pattern: str, wanted: FunctionReference, template: Template) -> bool:
    """Whether a pattern may match a function, or its aliases and versions. Placeholder accounts and regions match."""
    known = template.given
    region = known.get("AWS::Region") and (wanted.region or known["AWS::Region"])
    account = known.get("AWS::AccountId") and (wanted.account or known["AWS::AccountId"])
    parts = ["arn", "*", "lambda", region or "*", account or "*", "function"]
    fields = pattern.split(":", 6)
    names = [str(wanted)] if wanted.qualifier else [str(wanted), f"{wanted}:*"]
    if len(fields) < 7:
        return any(overlap(pattern, ":".join((*parts, name))) for name in names)
    return all(map(overlap, fields, parts)) and any(overlap(fields[6], name) for name in names)


def _on_a_bridge(right: _Right, stack: Stack) -> Iterator[TemplateFinding]:
    fix = "remove it from the Resource"
    for resource in right.functions:
        for bridge in stack.bridges:
            is_pipes = bool(right.roles) and right.roles <= _pipe_roles(bridge, stack.template)
            if refers_to(resource, bridge.function) and not is_pipes:
                actual = f"lambda:InvokeFunction is allowed on the bridge, {name_of(bridge.function)}"
                yield finding(right.place, actual, ONLY_LATTICE, fix)
        if (may_be_one := stack.may_be_bridge(resource)) is not None:
            which = f"{parse_reference(resource)}, which may be the bridge, {may_be_one.function.id}"
            actual = f"lambda:InvokeFunction is allowed on {which}"
            yield warning(right.place, actual, ONLY_LATTICE, fix)


def _pipe_roles(bridge: Bridge, template: Template) -> frozenset[str]:
    """The names of the roles of the pipes that invoke a bridge. `pipes` judges the pipes."""
    return frozenset(
        role_name(pipe.properties.get("RoleArn"))
        for pipe in template.of_type(PIPE)
        if any(refers_to(pipe.properties.get(key), bridge.function) for key in ("Enrichment", "Target"))
    )


# ---- the bridge's role ----------------------------------------------------------------------------------------------


def trust_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in who may assume a bridge's role, and which functions run as it."""
    bridges = {bridge.function.id for bridge in stack.bridges}
    for name in dict.fromkeys(role_name(one.function.properties.get("Role", "")) for one in stack.bridges):
        for role in stack.template.of_type("AWS::IAM::Role"):
            if role_name(role.arn) == name:
                yield from _assumed(role, stack.template, LAMBDA, _ONLY_BRIDGE)
        for function in stack.functions:
            if name and function.id not in bridges and role_name(function.properties.get("Role", "")) == name:
                yield finding(function.id, "it has the bridge's role", _ONLY_BRIDGE, "give it a role of its own")
    pipes = {name for bridge in stack.bridges for name in _pipe_roles(bridge, stack.template)}
    for role in stack.template.of_type("AWS::IAM::Role"):
        if role_name(role.arn) in pipes:
            yield from _assumed(role, stack.template, _PIPES, _ONLY_PIPES)


def _assumed(role: Resource, template: Template, service: str, expected: str) -> Iterator[TemplateFinding]:
    """Faults in the trust policy of a role that only one service of AWS may assume."""
    statements, unread = read_statements(role.properties.get("AssumeRolePolicyDocument"))
    for part in unread:
        yield part.finding(role.id)
    permitted = Permitted(frozenset({("Service", service)}), frozenset({template.account}), "sts:")
    for statement in statements:
        for action in statement.actions:
            if unresolved(action) and statement.effect == "Allow":
                yield warning(role.id, f"Action is {action}", NOT_KNOWN, f"write Action: {ASSUME}")
        known = replace(statement, actions=tuple(one for one in statement.actions if not unresolved(one)))
        for principal, level in unexpected(known, permitted) if any(map(known.names_action, ASSUMES)) else ():
            is_unsure = bool(statement.conditions) or unresolved(principal)
            fix = f"write Principal: {{Service: {service}}} alone"
            yield finding(role.id, f"{principal} may assume it", expected, fix, "warning" if is_unsure else level)
