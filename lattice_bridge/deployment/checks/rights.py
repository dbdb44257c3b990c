"""What a bridge may invoke, as the template's policies have it.

Rule: each function as bridge.toml names it, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator

from lattice_bridge.config.options import Backend
from lattice_bridge.deployment.checks.documents import listed
from lattice_bridge.deployment.checks.found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.checks.names import Named, covers, is_misnamed, named, refers_to
from lattice_bridge.deployment.checks.policies import (
    Statement,
    is_of_aws,
    is_policy,
    name_of_role,
    statements_of,
    unread_of,
)
from lattice_bridge.deployment.checks.stack import Bridge, Stack
from lattice_bridge.deployment.checks.wide import wide_findings
from lattice_bridge.deployment.cloudformation.template import Resource, Template


def right_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """What is wrong with the rights to invoke."""
    statements = [one for one in statements_of(stack.template) if one.invokes]
    yield from wide_findings(stack, statements)
    for bridge in stack.bridges:
        yield from _of_the_bridge(bridge, statements, stack)


def _of_the_bridge(bridge: Bridge, statements: list[Statement], stack: Stack) -> Iterator[TemplateFinding]:
    role = name_of_role(bridge.function.properties.get("Role"))
    resource = next((one for one in stack.template.of_type("AWS::IAM::Role") if name_of_role(one.arn) == role), None)
    stated = bridge.function.properties.get("Role", "it has no Role")
    elsewhere = [str(stated)] if resource is None else _elsewhere(resource, stack.template)
    if resource is None or elsewhere:
        yield finding(
            bridge.function.id,
            f"its rights stand elsewhere ({', '.join(elsewhere)})",
            "the role and its policies in this template, or see that it has a statement for each function yourself",
            "what is not in the template was not checked",
            "warning",
        )
        return
    own = [one for one in statements if role in one.roles]
    unread = [one.text for one in unread_of(stack.template) if role in one.roles]
    for backend in bridge.backends:
        wanted = named(backend.function)
        if wanted is not None and not any(is_misnamed(wanted, one) for one in stack.functions):
            yield from _right(backend, wanted, own, unread, resource.id, stack.template)
    if stack.compared:
        yield from _surplus(own, resource.id, stack)


def _elsewhere(role: Resource, template: Template) -> list[str]:
    own = template.of_type("AWS::IAM::ManagedPolicy")
    arns = listed(role.properties.get("ManagedPolicyArns"))
    return sorted(str(arn) for arn in arns if not is_of_aws(arn) and not any(is_policy(arn, one) for one in own))


def _right(
    backend: Backend, wanted: Named, own: list[Statement], unread: list[str], role: str, template: Template
) -> Iterator[TemplateFinding]:
    refused = f"every request to {backend.path} would be a 500 (access_denied)"
    about = [(one, one.reaches(wanted, template)) for one in own]
    for statement in (one for one, reached in about if one.effect == "Deny" and reached is not False):
        sure = not statement.is_conditional and (statement, True) in about
        yield finding(
            statement.place,
            f'lambda:InvokeFunction is denied on "{backend.function}"{"" if sure else ", it may be"}',
            "no such Deny",
            refused,
            "error" if sure else "warning",
        )
    allowing = [(one, reached) for one, reached in about if one.effect == "Allow"]
    if any(reached and not one.is_conditional for one, reached in allowing):
        return
    if any(reached for _, reached in allowing):
        yield finding(
            role,
            f'lambda:InvokeFunction is allowed on "{backend.function}" under a condition only',
            "a statement without Condition, or see that the bridge meets it yourself",
            f"where it does not, {refused}",
            "warning",
        )
    elif unknown := [one.unknown_in(wanted, template) for one, reached in allowing if reached is None] + unread:
        yield finding(
            role,
            f'whether lambda:InvokeFunction is allowed on "{backend.function}" is not known: {unknown[0]}',
            "an ARN in the template, or see that it is this one yourself",
            UNKNOWN,
            "warning",
        )
    else:
        yield finding(
            role,
            f'no statement allows lambda:InvokeFunction on "{backend.function}", which bridge.toml names',
            f"the ARN that ends in :function:{wanted} in the Resource of one",
            refused,
        )


def _surplus(own: list[Statement], role: str, stack: Stack) -> Iterator[TemplateFinding]:
    wanted = [found for backend in stack.backends if (found := named(backend.function)) is not None]
    single = [text for one in own if one.effect == "Allow" for text in one.functions if text.startswith("arn:")]
    single = [text for text in single if "*" not in text and "?" not in text]
    misnamed = [one for one in stack.functions if any(is_misnamed(name, one) for name in wanted)]
    needed = [text for text in single if any(covers(text, one, stack.template) is not False for one in wanted)]
    needed += [text for text in single if any(refers_to(text, one) for one in misnamed)]
    for text in sorted(set(single) - set(needed)):
        yield finding(
            role,
            f'lambda:InvokeFunction is allowed on "{named(text) or text}", which bridge.toml does not name',
            "a Resource without it",
            "a right that nobody needs is one more that can be misused",
            "warning",
        )
