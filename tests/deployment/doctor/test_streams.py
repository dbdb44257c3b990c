"""Doctor on Kinesis streams and tables: what it reads of them, and the faults in the words of `check --template`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.facts import Deployment, RolePolicies, SourceFunction, StreamFront, Unread
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.deployment.doctor.read import Aws
from lattice_bridge.deployment.doctor.read_sources import read_stream
from lattice_bridge.deployment.iam.policy import read_policy
from lattice_bridge.deployment.sources.facts import Queue, SourceMapping, Stream
from lattice_bridge.events.record import Claim
from tests.support.aws_server import REGION, AwsServer
from tests.support.doctor_stack import ACCOUNT, BEHIND, BRIDGE, CONFIGURATION, DEPLOYMENT, ORDERS, policy, problems
from tests.support.recorded_aws import client

CLICKS: Final = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/clicks"
TABLE: Final = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"
OF_TABLE: Final = f"{TABLE}/stream/2026-01-01T00:00:00.000"
QUARANTINE: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:quarantine"
FAILED: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed"
UUID: Final = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
SOURCES: Final = (
    EventSource(CLICKS, "orders:live", quarantine=QUARANTINE, timeout=20),
    EventSource(TABLE, "orders:live", claim=Claim("image", "owner"), quarantine=QUARANTINE, timeout=20),
)
OF_CLICKS: Final = SourceMapping(UUID, CLICKS, 100, reports=True, retries=10, bisects=True, destination=FAILED)
OF_ORDERS: Final = replace(OF_CLICKS, label="9f", source=OF_TABLE)
STREAM: Final = Stream("stream clicks", CLICKS, CLICKS)
ORDERS_TABLE: Final = Stream("table orders", TABLE, OF_TABLE, "NEW_AND_OLD_IMAGES")
FRONTS: Final = (StreamFront(CLICKS, STREAM), StreamFront(TABLE, ORDERS_TABLE))
READS_CLICKS: Final = [
    f"kinesis:{one}"
    for one in ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
]
READS_ORDERS: Final = [f"dynamodb:{one}" for one in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")]


def rights(table: str = OF_TABLE) -> Any:
    allowed = (
        ("lambda:InvokeFunction", ORDERS.qualified),
        (["logs:CreateLogStream", "logs:PutLogEvents"], "*"),
        (READS_CLICKS, CLICKS),
        (READS_ORDERS, table),
        ("sqs:SendMessage", [QUARANTINE, FAILED]),
    )
    return read_policy(policy(*({"Effect": "Allow", "Action": one, "Resource": arn} for one, arn in allowed)))


def stack(*mappings: SourceMapping, fronts: tuple[StreamFront, ...] = FRONTS, table: str = OF_TABLE) -> Deployment:
    """The stack without a fault, with a stream and a table in front of its backend's function."""
    role = DEPLOYMENT.role_policies
    assert isinstance(role, RolePolicies)
    return replace(
        DEPLOYMENT,
        event_sources=mappings or (OF_CLICKS, OF_ORDERS),
        role_policies=replace(role, statements=rights(table)),
        sources=tuple(SourceFunction(one, BEHIND.function) for one in SOURCES),
        queues=((QUARANTINE, Queue("queue quarantine", QUARANTINE, retention=1_209_600)),),
        streams=fronts,
    )


def found_in(deployment: Deployment, rules: tuple[tuple[str, str], ...] = ()) -> list[Finding]:
    options = Options(CONFIGURATION.options.backends, SOURCES, CONFIGURATION.options.services)
    return problems(deployment, replace(CONFIGURATION, options=options, trusted_sources=rules))


def test_right_stack_with_streams_has_no_fault() -> None:
    assert found_in(stack()) == []


DENIED: Final = Unread("kinesis:DescribeStreamSummary", CLICKS, "AccessDeniedException")
UNREAD_POLICY: Final = Unread("kinesis:GetResourcePolicy", CLICKS, "AccessDeniedException")
CASES: Final[dict[str, tuple[Deployment, str, str, str]]] = {
    "Trap E13: no ReportBatchItemFailures": (
        stack(replace(OF_CLICKS, reports=False), OF_ORDERS),
        "error",
        f"event source mapping {UUID}",
        "its FunctionResponseTypes do not contain ReportBatchItemFailures",
    ),
    "Trap E20: a tumbling window": (
        stack(replace(OF_CLICKS, tumbling=30.0), OF_ORDERS),
        "error",
        f"event source mapping {UUID}",
        "TumblingWindowInSeconds is 30",
    ),
    "Trap E22: a record is tried until it expires": (
        stack(OF_CLICKS, replace(OF_ORDERS, retries=-1)),
        "warning",
        "event source mapping 9f",
        "it has neither MaximumRetryAttempts nor MaximumRecordAgeInSeconds",
    ),
    "Trap E6: what is given up is not named": (
        stack(replace(OF_CLICKS, destination=None), OF_ORDERS),
        "warning",
        f"event source mapping {UUID}",
        "it has no OnFailure destination",
    ),
    "Trap E22: records that do not fit into the quarantine": (
        stack(fronts=(StreamFront(CLICKS, replace(STREAM, largest=10240)), FRONTS[1])),
        "warning",
        f"event source mapping {UUID}",
        "its stream takes records of 10240 KiB, and its OnFailure destination is no S3 bucket",
    ),
    "Trap E19: no images": (
        stack(fronts=(FRONTS[0], StreamFront(TABLE, replace(ORDERS_TABLE, view="KEYS_ONLY")))),
        "error",
        "table orders",
        "StreamViewType is KEYS_ONLY, and the claim of bridge.toml reads an image of the item",
    ),
    "a table without a stream": (
        stack(fronts=(FRONTS[0], StreamFront(TABLE, replace(ORDERS_TABLE, records=None, view=None)))),
        "error",
        "table orders",
        "it has no stream",
    ),
    "no such stream": (
        stack(fronts=(StreamFront(CLICKS, None), FRONTS[1])),
        "error",
        "stream clicks",
        "no such stream",
    ),
    "no mapping of the table": (
        stack(OF_CLICKS),
        "error",
        "table orders",
        "no event source mapping sends the table orders to the bridge",
    ),
    "a table without an event source": (
        stack(OF_CLICKS, OF_ORDERS, replace(OF_ORDERS, label="7a", source=OF_TABLE.replace("orders", "users"))),
        "error",
        "event source mapping 7a",
        "it sends the table users to the bridge, and bridge.toml has no [[event_source]] for it",
    ),
    "an unread stream": (
        stack(fronts=(StreamFront(CLICKS, DENIED), FRONTS[1])),
        "unknown",
        "stream clicks",
        "could not be read: AccessDeniedException",
    ),
    "an unread policy": (
        stack(fronts=(StreamFront(CLICKS, STREAM, UNREAD_POLICY), FRONTS[1])),
        "unknown",
        "policy of stream clicks",
        "could not be read: AccessDeniedException",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_fault_is_found_on_its_part(name: str) -> None:
    deployment, level, subject, actual = CASES[name]
    (found,) = found_in(deployment)
    assert (found.level, found.subject, found.actual) == (level, subject, actual)


def test_consumer_of_a_stream_counts_as_the_stream() -> None:
    """With enhanced fan-out, the mapping names the consumer."""
    assert found_in(stack(replace(OF_CLICKS, source=f"{CLICKS}/consumer/bridge:1"), OF_ORDERS)) == []


def test_each_right_to_read_is_needed_on_the_stream_of_the_table() -> None:
    found = found_in(stack(table=TABLE))
    assert [(one.subject, one.actual, one.expected) for one in found] == [
        ("role bridge-role", "not allowed", f"{action} on {OF_TABLE}") for action in READS_ORDERS
    ]


def test_other_accounts_may_write_is_an_error_only_if_a_rule_trusts_the_stream() -> None:
    """Trap E2: a record in the stream is then the proof of its tenant."""
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "kinesis:PutRecord", "Resource": "*"}
    opened = stack(fronts=(StreamFront(CLICKS, STREAM, read_policy(policy(everyone))), FRONTS[1]))
    assert found_in(opened) == []
    (found,) = found_in(opened, ((CLICKS, "clicks"),))
    assert found.actual == "everyone may write to it, and the rule clicks of bridge.toml allows by the source alone"


# ---- reading --------------------------------------------------------------------------------------------------------


class LargeRecords:
    """A client of Kinesis for a stream with large records, which moto does not have."""

    def describe_stream_summary(self, **_: Any) -> dict[str, Any]:
        return {"StreamDescriptionSummary": {"StreamARN": CLICKS, "MaxRecordSizeInKiB": 10240}}

    def get_resource_policy(self, **_: Any) -> dict[str, Any]:
        return {"Policy": "{}"}


def test_size_of_the_largest_record_is_read() -> None:
    found = read_stream(Aws(lambda _: LargeRecords()), CLICKS, BRIDGE)
    assert found == StreamFront(CLICKS, replace(STREAM, largest=10240))


def test_stream_is_read_with_its_policy(aws: AwsServer) -> None:
    kinesis = client("kinesis", aws.url)
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    reader = Aws(lambda service: client(service, aws.url))
    assert read_stream(reader, CLICKS, BRIDGE) == StreamFront(CLICKS, STREAM)
    own = policy({"Effect": "Allow", "Principal": "*", "Action": "kinesis:PutRecord", "Resource": CLICKS})
    kinesis.put_resource_policy(ResourceARN=CLICKS, Policy=json.dumps(own))
    kinesis.start_stream_encryption(StreamName="clicks", EncryptionType="KMS", KeyId="0f1e")
    found = read_stream(Aws(lambda service: client(service, aws.url)), CLICKS, BRIDGE)
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0f1e"
    assert found == StreamFront(CLICKS, replace(STREAM, key=key), read_policy(own))
    assert read_stream(reader, f"{CLICKS}-absent", BRIDGE) == StreamFront(f"{CLICKS}-absent", None)
    elsewhere = read_stream(reader, CLICKS.replace(REGION, "us-east-1"), BRIDGE).stream
    assert isinstance(elsewhere, Unread)
    assert elsewhere.out_of_reach


def test_table_is_read_with_the_view_of_its_stream(aws: AwsServer) -> None:
    dynamodb = client("dynamodb", aws.url)
    keys = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    dynamodb.create_table(TableName="still", **keys)
    view = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    made = dynamodb.create_table(TableName="orders", StreamSpecification=view, **keys)
    reader = Aws(lambda service: client(service, aws.url))
    records = made["TableDescription"]["LatestStreamArn"]
    assert read_stream(reader, TABLE, BRIDGE) == StreamFront(TABLE, Stream("table orders", TABLE, records, "NEW_IMAGE"))
    still = TABLE.replace("orders", "still")
    assert read_stream(reader, still, BRIDGE) == StreamFront(still, Stream("table still", still, None))
    assert read_stream(reader, f"{TABLE}-absent", BRIDGE).stream is None
