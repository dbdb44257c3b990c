"""Doctor on queues: what it reads of them, and the faults that it states in the words of `check --template`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.facts import (
    DeployedFunction,
    Deployment,
    Function,
    FunctionName,
    SourceFunction,
    Unread,
)
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.deployment.doctor.read import Aws, read_destination
from lattice_bridge.deployment.doctor.read_sources import read_event_sources, read_queue, read_rivals
from lattice_bridge.deployment.doctor.role import needs_of
from lattice_bridge.deployment.iam.policy import read_policy
from lattice_bridge.deployment.sources.facts import Queue, Redrive, SourceMapping
from tests.support.aws_server import REGION, AwsServer
from tests.support.doctor_stack import (
    ACCOUNT,
    BEHIND,
    BRIDGE,
    CONFIGURATION,
    DEPLOYMENT,
    FUNCTION,
    LAMBDA,
    ORDERS,
    list_sources,
    policy,
    problems,
)
from tests.support.recorded_aws import RecordedAws, Recording, client

SQS: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}"
UUID: Final = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
DENIED: Final = Unread("sqs:GetQueueAttributes", f"{SQS}:orders", "AccessDenied")
SOURCE: Final = EventSource(f"{SQS}:orders", "orders:live", quarantine=f"{SQS}:quarantine", timeout=20)
MAPPING: Final = SourceMapping(UUID, SOURCE.arn, reports=True)
QUEUE: Final = Queue("queue orders", SOURCE.arn, visibility=210, redrive=Redrive(f"{SQS}:dead", 5))
DEAD: Final = Queue("queue dead", f"{SQS}:dead", retention=1_209_600)
QUARANTINE: Final = Queue("queue quarantine", f"{SQS}:quarantine", retention=1_209_600)
ASYNC: Final = replace(SOURCE, invocation="async")

RIGHTS: Final = read_policy(
    policy(
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": ORDERS.qualified},
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            "Resource": SOURCE.arn,
        },
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": SOURCE.quarantine},
    )
)


def stack(
    *mappings: SourceMapping,
    source: EventSource = SOURCE,
    queue: Queue | Unread | None = QUEUE,
    quarantine: Queue = QUARANTINE,
    **source_changes: Any,
) -> Deployment:
    """The stack without a fault, with a queue in front of its backend's function."""
    role = DEPLOYMENT.role_policies
    assert role is not None
    assert not isinstance(role, Unread)
    return replace(
        DEPLOYMENT,
        event_sources=mappings or (MAPPING,),
        role_policies=replace(role, statements=RIGHTS),
        sources=(SourceFunction(source, BEHIND.function, **source_changes),),
        queues=((SOURCE.arn, queue), (QUARANTINE.arn, quarantine), (DEAD.arn, DEAD)),
    )


def found_in(
    deployment: Deployment, source: EventSource = SOURCE, rules: tuple[tuple[str, str], ...] = ()
) -> list[Finding]:
    options = Options(CONFIGURATION.options.backends, (source,), CONFIGURATION.options.services)
    return problems(deployment, replace(CONFIGURATION, options=options, trusted_sources=rules))


def test_right_stack_with_a_queue_has_no_fault() -> None:
    assert found_in(stack()) == []


EVERYONE: Final = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
OTHER: Final = SourceMapping("9f", f"{SQS}:invoices", reports=True)

FAULTS: Final[dict[str, tuple[Deployment, str, str, str]]] = {
    "Trap E13: no ReportBatchItemFailures": (
        stack(replace(MAPPING, reports=False)),
        "error",
        f"event source mapping {UUID}",
        "its FunctionResponseTypes do not contain ReportBatchItemFailures",
    ),
    "no mapping": (stack(replace(MAPPING, source=QUARANTINE.arn.replace("quarantine", "x"))), "error", "", ""),
    "a queue without an event source": (
        stack(MAPPING, OTHER),
        "error",
        "event source mapping 9f",
        "it sends the queue invoices to the bridge, and bridge.toml has no [[event_source]] for it",
    ),
    "Trap E28: the quarantine comes back": (
        stack(MAPPING, replace(OTHER, source=QUARANTINE.arn)),
        "error",
        "event source mapping 9f",
        "it sends the quarantine quarantine of orders to the bridge",
    ),
    "a topic of Kafka": (
        stack(MAPPING, replace(OTHER, source="arn:aws:kafka:eu-west-1:1:cluster/c/1")),
        "error",
        "event sources",
        "arn:aws:kafka:eu-west-1:1:cluster/c/1",
    ),
    "a stream without an event source": (
        stack(MAPPING, replace(OTHER, source="arn:aws:kinesis:eu-west-1:1:stream/s")),
        "error",
        "event source mapping 9f",
        "it sends the stream s to the bridge, and bridge.toml has no [[event_source]] for it",
    ),
    "a short visibility timeout": (
        stack(queue=replace(QUEUE, visibility=30.0)),
        "error",
        "queue orders",
        "VisibilityTimeout is 30 s, and bridge:live has a Timeout of 35 s",
    ),
    "Trap E22: no dead-letter queue": (
        stack(queue=replace(QUEUE, redrive=None)),
        "warning",
        "queue orders",
        "it has no RedrivePolicy",
    ),
    "a short retention of the quarantine": (
        stack(quarantine=replace(QUARANTINE, retention=60.0)),
        "warning",
        "queue quarantine",
        "it is a quarantine, and MessageRetentionPeriod is 60 s",
    ),
    "no such queue": (stack(queue=None), "error", "queue orders", "no such queue"),
    "the quarantine is the dead-letter queue": (
        stack(queue=replace(QUEUE, redrive=Redrive(QUARANTINE.arn, 5))),
        "warning",
        "queue orders",
        "its dead-letter queue is also the quarantine of orders",
    ),
    "a second function receives its messages": (
        replace(stack(), rivals=((SOURCE.arn, ("7a",)),)),
        "warning",
        "event source mapping 7a",
        "it receives messages of orders, as the bridge does",
    ),
    "the mappings of the queue are unread": (
        replace(stack(), rivals=((SOURCE.arn, Unread("lambda:ListEventSourceMappings", SOURCE.arn, "Denied")),)),
        "unknown",
        "queue orders",
        "could not be read: Denied",
    ),
    "a key without a right": (
        stack(queue=replace(QUEUE, key="arn:aws:kms:eu-west-1:1:key/2")),
        "error",
        "role bridge-role",
        "not allowed",
    ),
    "a function that is not isolated": (
        replace(stack(), sources=(SourceFunction(SOURCE, replace(BEHIND.function, configuration=FUNCTION)),)),
        "error",
        "event source orders orders:live",
        "no tenant isolation: every record is reported as failed",
    ),
}


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "no mapping"])
def test_fault_is_found_on_its_part(name: str) -> None:
    deployment, level, subject, actual = FAULTS[name]
    (found,) = found_in(deployment)
    assert (found.level, found.subject, found.actual) == (level, subject, actual)


@pytest.mark.parametrize(
    ("uuid", "fix"),
    [
        (
            UUID,
            "aws lambda update-event-source-mapping --function-response-types ReportBatchItemFailures "
            f"--uuid {UUID} --region {REGION}",
        ),
        ("$(id)", "no command is given: the value of --uuid in AWS's answer is malformed"),
    ],
)
def test_mapping_without_reports_is_fixed_by_one_call(uuid: str, fix: str) -> None:
    """Trap G5: the value of a command has the form that AWS gives it."""
    (found,) = found_in(stack(replace(MAPPING, label=uuid, reports=False)))
    assert found.fix == fix


def test_fix_names_what_it_is_for() -> None:
    (found,) = found_in(FAULTS["a short visibility timeout"][0])
    assert found.fix == "queue orders: write VisibilityTimeout: 210"


def test_missing_mapping_is_found_beside_the_one_of_another_queue() -> None:
    found = found_in(FAULTS["no mapping"][0])
    assert [one.actual for one in found] == [
        "it sends the queue x to the bridge, and bridge.toml has no [[event_source]] for it",
        "no event source mapping sends the queue orders to the bridge",
    ]


def test_everyone_may_send_is_an_error_only_if_a_rule_trusts_the_queue() -> None:
    """Trap E2: a message in the queue is then the proof of its tenant."""
    opened = stack(queue=replace(QUEUE, policy=read_policy(policy(EVERYONE))))
    assert found_in(opened) == []
    (found,) = found_in(opened, rules=((SOURCE.arn, "blue-queue"),))
    assert found.actual == "everyone may send to it, and the rule blue-queue of bridge.toml names no sender"


def test_unread_queue_is_unknown_and_says_which_right_is_missing() -> None:
    (found,) = found_in(stack(queue=DENIED))
    assert (found.level, found.needs) == ("unknown", "sqs:GetQueueAttributes")


@pytest.mark.parametrize(
    ("changes", "function", "level"),
    [
        ({}, {}, "error"),
        ({"destination": DEAD.arn}, {}, None),
        ({}, {"keeps_failures": True}, None),
        ({"destination": Unread("lambda:GetFunctionEventInvokeConfig", "x", "AccessDenied")}, {}, "unknown"),
    ],
)
def test_async_source_needs_a_place_for_failures(
    changes: dict[str, Any], function: dict[str, Any], level: str | None
) -> None:
    """Trap E17: a 202 deletes the record, so the only copy is Lambda's."""
    deployment = stack(source=ASYNC, **changes)
    (source,) = deployment.sources
    assert isinstance(source.function.configuration, Function)
    configuration = replace(source.function.configuration, **function)
    source = replace(source, function=replace(source.function, configuration=configuration))
    found = found_in(replace(deployment, sources=(source,)), ASYNC)
    assert [one.level for one in found] == [level] * (level is not None)


def test_timeout_of_an_event_source_counts() -> None:
    slow = replace(SOURCE, timeout=40)
    found = [one for one in found_in(stack(source=slow), slow) if one.subject == "timeout"]
    assert [one.expected for one in found] == ["at least 43 s: 40 for the slowest function, and 3"]


def test_bridge_with_nothing_but_queues_needs_no_target_group() -> None:
    alone = replace(stack(), groups=(), services=(), backends=())
    alone = replace(alone, bridge=replace(alone.bridge, policies=()))
    assert problems(alone, replace(CONFIGURATION, options=Options((), (SOURCE,)))) == []


def test_rights_on_queues_and_keys_are_needed_once() -> None:
    keyed = stack(queue=replace(QUEUE, key="arn:key"), quarantine=replace(QUARANTINE, key="arn:key"))
    configured = replace(CONFIGURATION, options=Options((), (SOURCE,)))
    needs = [(one.action, one.resource) for one in needs_of(keyed, configured, FUNCTION)]
    assert [one for one in needs if one[0].startswith(("sqs", "kms"))] == [
        ("sqs:ReceiveMessage", SOURCE.arn),
        ("sqs:DeleteMessage", SOURCE.arn),
        ("sqs:GetQueueAttributes", SOURCE.arn),
        ("kms:Decrypt", "arn:key"),
        ("sqs:SendMessage", QUARANTINE.arn),
        ("kms:GenerateDataKey", "arn:key"),
    ]


# ---- reading --------------------------------------------------------------------------------------------------------


def test_every_property_of_a_mapping_is_read() -> None:
    written = {
        "UUID": UUID,
        "EventSourceArn": SOURCE.arn,
        "BatchSize": 5,
        "MaximumBatchingWindowInSeconds": 2,
        "State": "Disabled",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": "{}"}]},
        "MaximumRetryAttempts": 3,
        "MaximumRecordAgeInSeconds": 60,
        "BisectBatchOnFunctionError": True,
        "TumblingWindowInSeconds": 30,
        "DestinationConfig": {"OnFailure": {"Destination": DEAD.arn}},
    }
    with RecordedAws([list_sources(BRIDGE, written)]) as recorded:
        (found,) = read_event_sources(Aws(recorded.client), [BRIDGE])  # type: ignore[misc]  # it is no Unread
    assert found == SourceMapping(
        UUID,
        SOURCE.arn,
        5,
        2.0,
        reports=True,
        filters=True,
        enabled=False,
        retries=3,
        max_age=60,
        bisects=True,
        tumbling=30.0,
        destination=DEAD.arn,
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"DestinationConfig": {"OnFailure": {"Destination": DEAD.arn}}}, DEAD.arn), ({"DestinationConfig": {}}, None)],
)
def test_failure_destination_is_read(answer: dict[str, Any], expected: str | None) -> None:
    asked = {"FunctionName": ORDERS.arn, "Qualifier": "live"}
    with RecordedAws([Recording("lambda", "get_function_event_invoke_config", asked, answer)]) as recorded:
        aws = Aws(recorded.client)
        assert read_destination(aws, ORDERS) == expected
        assert read_destination(aws, FunctionName(BRIDGE.arn)) is None


def test_queue_is_read_with_its_policies(aws: AwsServer) -> None:
    sqs = client("sqs", aws.url)
    sqs.create_queue(QueueName="dead")
    attributes = {
        "VisibilityTimeout": "210",
        "MessageRetentionPeriod": "86400",
        "KmsMasterKeyId": "0f1e",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": DEAD.arn, "maxReceiveCount": "5"}),
        "Policy": json.dumps(policy(EVERYONE)),
    }
    sqs.create_queue(QueueName="orders", Attributes=attributes)
    reader = Aws(lambda service: client(service, aws.url))
    assert read_queue(reader, SOURCE.arn, BRIDGE) == Queue(
        "queue orders",
        SOURCE.arn,
        210.0,
        86400.0,
        Redrive(DEAD.arn, 5),
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0f1e",
        read_policy(policy(EVERYONE)),
    )
    assert read_queue(reader, f"{SQS}:absent", BRIDGE) is None
    elsewhere = read_queue(reader, SOURCE.arn.replace(REGION, "us-east-1"), BRIDGE)
    assert isinstance(elsewhere, Unread)
    assert elsewhere.out_of_reach


def test_mappings_of_other_functions_on_the_queue_are_read() -> None:
    functions = (f"{LAMBDA}:other", BRIDGE.qualified, BRIDGE.arn, f"{LAMBDA}:bridge2")
    mappings = [{"UUID": f"{place}{UUID[1:]}", "FunctionArn": one} for place, one in enumerate(functions)]
    answer, asked = {"EventSourceMappings": mappings}, {"EventSourceArn": SOURCE.arn}
    with RecordedAws([Recording("lambda", "list_event_source_mappings", asked, answer)]) as recorded:
        assert read_rivals(Aws(recorded.client), SOURCE.arn, BRIDGE) == (f"0{UUID[1:]}", f"3{UUID[1:]}")


def test_source_function_of_another_region_is_not_read() -> None:
    """It says so once, and judges nothing else of it."""
    unread = Unread("lambda:GetFunctionConfiguration", "x", "it is in another Region", out_of_reach=True)
    deployment = replace(stack(), sources=(SourceFunction(SOURCE, DeployedFunction(ORDERS, unread)),))
    assert [one.level for one in found_in(deployment)] == ["unknown"]
