"""The rights of the bridge's role on event sources, their keys and the places for failures, in a template.

Rule: a role that is not in the template is another finding. A condition is not evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.checks.named_sources import as_arn, may_be_arn
from lattice_bridge.deployment.checks.queues import KEY
from lattice_bridge.deployment.checks.rights import policies_of, role_name
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    Bridge,
    TemplateFinding,
    finding,
    items_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.deployment.iam.access import Grant, grant_of
from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.deployment.sources.facts import Line, name_of_source
from lattice_bridge.deployment.sources.faults import SEND
from lattice_bridge.deployment.sources.judge import READS, rights_of
from lattice_bridge.events.record import service_of

_MANAGED: Final = {
    "AWSLambdaSQSQueueExecutionRole": READS["sqs"],
    "AWSLambdaKinesisExecutionRole": READS["kinesis"],
    "AWSLambdaDynamoDBExecutionRole": READS["dynamodb"],
    "AmazonSQSFullAccess": (*READS["sqs"], SEND),
}
"""Managed policy of AWS → the actions that it allows on every resource."""


def source_right_findings(bridge: Bridge, line: Line, template: Template) -> Iterator[TemplateFinding]:
    """Faults in the rights of the bridge's role on a source, on its quarantine and on its failure destinations."""
    name = role_name(bridge.function.properties.get("Role"))
    role = next((one for one in template.of_type("AWS::IAM::Role") if role_name(one.arn) == name), None)
    if role is None:
        return
    managed = {
        action
        for arn in items_of(role.properties.get("ManagedPolicyArns"))
        for action in _MANAGED.get(role_name(arn), ())
    }
    policies = [one for one in policies_of(template) if name in one.roles]
    is_unsure = any(not part.is_malformed for one in policies for part in one.unread)
    statements = [each for one in policies for each in one.statements]
    missing: dict[tuple[str, bool], list[str]] = {}
    for action, arn in rights_of(line):
        grant, is_certain = _grant(statements, action, arn, template)
        if grant != "denied" and (action in managed or (is_certain and grant != "absent")):
            continue  # a condition is not evaluated
        missing.setdefault((arn, grant != "denied" and (is_unsure or not is_certain)), []).append(action)
    for (arn, unsure), actions in missing.items():
        what = f"{' and '.join(actions)} on {_named(arn, template)}"
        if unsure:
            actual = f"whether its policies allow {what} is not known"
            yield warning(role.id, actual, NOT_KNOWN, "write the statement in the template")
        else:
            yield finding(role.id, f"its policies do not allow {what}", _outcome(actions, arn, line), f"allow {what}")


def _named(arn: str, template: Template) -> str:
    key = next((one.id for one in template.of_type(KEY) if one.arn == arn), None)
    name = key or name_of_source(arn)
    return f"the stream of {name}" if service_of(arn) == "dynamodb" else name


def _outcome(actions: list[str], arn: str, line: Line) -> str:
    places = {*(one.destination for one in line.mappings), *(one.destination for one in line.failures)}
    if arn in (line.source.quarantine, None if line.quarantine is None else line.quarantine.arn):
        return "Without it the bridge stores no record in the quarantine, and reports it as failed"
    if any(place is not None and arn.startswith(place) for place in places):
        return "Lambda writes to the OnFailure destination with the bridge's role: without it, what fails is lost"
    if set(actions) & set(READS["sqs"]):
        return "Lambda receives and deletes the messages with the bridge's role"
    if any(set(actions) & set(one) for one in READS.values()):
        return "Lambda reads the records with the bridge's role"
    return "The bridge's role needs it to use a source that this key encrypts"


def _grant(statements: list[Statement], action: str, arn: str, template: Template) -> tuple[Grant, bool]:
    """What the statements grant, and whether no unresolved ARN decides it."""
    about = [(one, _is_about(one, action, arn, template)) for one in statements]
    return grant_of(about), all(known is not None for _, known in about)


def _is_about(statement: Statement, action: str, arn: str, template: Template) -> bool | None:
    """Whether a statement is about an action on a resource; None if only a deployed stack knows."""
    if not statement.names_action(action):
        return False
    negated = statement.not_resources
    patterns = statement.resources if negated is None else negated
    found = [one for one in (as_arn(each, template) for each in patterns) if may_be_arn(one, arn, template)]
    if found and all(unresolved(one) and one != arn for one in found):
        return None
    return bool(found) is (negated is None)
