"""EventBridge's API through HTTP, as boto3 calls it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from lattice_bridge.local.aws.event_bridge.api import SERVICE, event_bridge_api
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse
from tests.support.endpoint import BLUE, client, endpoint
from tests.support.virtual_buses import ACCOUNT, FUNCTION, REGION, World, queue_arn

NAMES: Final = count()
PATTERN: Final = '{"source": ["shop"]}'
EVENT: Final = {"id": "1", "account": "1", "source": "shop", "time": "t", "region": "r", "detail-type": "d"}


@pytest.fixture(scope="module")
def world() -> World:
    """Its deliveries are not run."""
    return World(clock=time.time)


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with endpoint(lambda _: {SERVICE: event_bridge_api(world.buses)}) as found:
        yield found


@pytest.fixture(scope="module")
def events(url: str) -> Any:
    return client(url, SERVICE)


@pytest.fixture
def rule(events: Any) -> str:
    name = f"rule-{next(NAMES)}"
    events.put_rule(Name=name, EventPattern=PATTERN)
    return name


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as found:
        call(**arguments)
    error = found.value.response["Error"]
    return error["Code"], error["Message"]


# ---- buses and rules ------------------------------------------------------------------------------------------------


def test_bus_is_created_described_listed_changed_and_deleted(events: Any) -> None:
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/life"
    assert events.create_event_bus(Name="life", Description="one")["EventBusArn"] == arn
    assert refused(events.create_event_bus, Name="life") == (
        "ResourceAlreadyExistsException",
        "Event bus life already exists.",
    )
    events.update_event_bus(Name="life", Description="two")
    found = events.describe_event_bus(Name=arn)
    assert (found["Name"], found["Arn"], found["Description"]) == ("life", arn, "two")
    assert [bus["Name"] for bus in events.list_event_buses(NamePrefix="li")["EventBuses"]] == ["life"]
    assert events.describe_event_bus()["Name"] == "default"
    events.put_rule(Name="r", EventBusName="life", EventPattern=PATTERN)
    assert refused(events.delete_event_bus, Name="life")[0] == "ValidationException"
    events.delete_rule(Name="r", EventBusName=arn)
    events.delete_event_bus(Name="life")
    events.delete_event_bus(Name="life")
    assert refused(events.describe_event_bus, Name="life") == (
        "ResourceNotFoundException",
        "Event bus life does not exist.",
    )
    assert refused(events.delete_event_bus, Name="default")[1] == "Cannot delete event bus default."


def test_rule_is_described_listed_disabled_and_deleted(events: Any, rule: str) -> None:
    found = events.describe_rule(Name=rule)
    assert {key: found[key] for key in ("Name", "Arn", "EventPattern", "State", "EventBusName")} == {
        "Name": rule,
        "Arn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}",
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "EventBusName": "default",
    }
    events.disable_rule(Name=rule)
    assert events.list_rules(NamePrefix=rule)["Rules"][0]["State"] == "DISABLED"
    events.enable_rule(Name=rule)
    assert events.describe_rule(Name=rule)["State"] == "ENABLED"
    events.delete_rule(Name=rule)
    events.delete_rule(Name=rule)
    assert refused(events.describe_rule, Name=rule) == (
        "ResourceNotFoundException",
        f"Rule {rule} does not exist on EventBus default.",
    )


def test_rules_are_listed_in_pages(events: Any) -> None:
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        events.put_rule(Name=name, ScheduleExpression="rate(1 day)")
    first = events.list_rules(NamePrefix="page-", Limit=3)
    second = events.list_rules(NamePrefix="page-", Limit=3, NextToken=first["NextToken"])
    assert [rule["Name"] for page in (first, second) for rule in page["Rules"]] == names
    assert "NextToken" not in second


def test_targets_are_put_listed_found_and_removed(events: Any, rule: str) -> None:
    target = {
        "Id": "worker",
        "Arn": FUNCTION,
        "InputTransformer": {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '"<id>"'},
        "RetryPolicy": {"MaximumRetryAttempts": 3},
        "DeadLetterConfig": {"Arn": queue_arn("dead")},
    }
    assert events.put_targets(Rule=rule, Targets=[target])["FailedEntryCount"] == 0
    assert events.list_targets_by_rule(Rule=rule)["Targets"] == [target]
    assert rule in events.list_rule_names_by_target(TargetArn=FUNCTION)["RuleNames"]
    assert refused(events.delete_rule, Name=rule) == (
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )
    found = events.remove_targets(Rule=rule, Ids=["worker", "none"])
    assert (found["FailedEntryCount"], found["FailedEntries"][0]["TargetId"]) == (1, "none")
    assert events.list_targets_by_rule(Rule=rule)["Targets"] == []


def test_tags_of_buses_and_rules(events: Any, rule: str) -> None:
    events.create_event_bus(Name="tagged", Tags=[{"Key": "a", "Value": "1"}])
    events.put_rule(Name="tagged", EventBusName="tagged", EventPattern=PATTERN, Tags=[{"Key": "b", "Value": "2"}])
    begin = f"arn:aws:events:{REGION}:{ACCOUNT}"
    for arn, key in ((f"{begin}:event-bus/tagged", "a"), (f"{begin}:rule/tagged/tagged", "b")):
        events.tag_resource(ResourceARN=arn, Tags=[{"Key": "c", "Value": "3"}])
        assert [tag["Key"] for tag in events.list_tags_for_resource(ResourceARN=arn)["Tags"]] == [key, "c"]
        events.untag_resource(ResourceARN=arn, TagKeys=[key])
        assert [tag["Key"] for tag in events.list_tags_for_resource(ResourceARN=arn)["Tags"]] == ["c"]
    assert events.list_tags_for_resource(ResourceARN=f"{begin}:rule/{rule}")["Tags"] == []
    assert refused(events.list_tags_for_resource, ResourceARN=f"{begin}:archive/a")[0] == "ValidationException"


# ---- events ---------------------------------------------------------------------------------------------------------


def test_entries_have_results_of_their_own(events: Any, world: World) -> None:
    entry = {"Source": "else", "DetailType": "Order", "Detail": "{}"}
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    refusals = [{**entry, "Source": "aws.ec2"}, {**entry, "Detail": "no"}, {"Source": "shop"}]
    found = events.put_events(Entries=[{**entry, "Time": when, "Resources": ["r"]}, *refusals])
    assert found["FailedEntryCount"] == 3
    assert [one.get("ErrorCode") for one in found["Entries"]] == [
        None,
        "NotAuthorizedForSourceException",
        "MalformedDetail",
        "InvalidArgument",
    ]
    event = next(one for one, _ in world.lost if one.id == found["Entries"][0]["EventId"])
    assert json.loads(event.text)["time"] == "2026-01-02T03:04:05Z"
    assert json.loads(event.text)["resources"] == ["r"]


def test_entries_of_more_than_one_mebibyte_are_refused_together(events: Any) -> None:
    entry = {"Source": "shop", "DetailType": "Order", "Detail": json.dumps({"a": "x" * 300_000})}
    assert events.put_events(Entries=[entry] * 3)["FailedEntryCount"] == 0
    too_large = ("ValidationException", "Total size of the entries in the request is over the limit.")
    assert refused(events.put_events, Entries=[entry] * 4) == too_large


def test_pattern_is_tested(events: Any) -> None:
    assert events.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(EVENT))["Result"] is True
    assert events.test_event_pattern(EventPattern='{"source": ["x"]}', Event=json.dumps(EVENT))["Result"] is False
    assert refused(events.test_event_pattern, EventPattern='{"a": [{"suffix": 1}]}', Event=json.dumps(EVENT)) == (
        "InvalidEventPatternException",
        "Event pattern is not valid. Reason: suffix match pattern must be a string at the pattern.a.suffix",
    )
    for event in ("text", "[]", '{"id": "1"}'):
        assert refused(events.test_event_pattern, EventPattern=PATTERN, Event=event)[0] == "ValidationException"


def test_identity_of_a_way_in_may_not_sign(url: str) -> None:
    """With PutTargets it could invoke any function with any event, and so choose a tenant."""
    other = client(url, SERVICE, BLUE.access_key, BLUE.secret_key)
    assert refused(other.put_events, Entries=[{"Source": "shop"}])[0] == "UnrecognizedClientException"


# ---- what AWS's model refuses ---------------------------------------------------------------------------------------


def test_parameters_that_the_model_refuses_are_refused_in_the_words_of_aws(events: Any, rule: str) -> None:
    """The first three were recorded on AWS."""
    begin = "1 validation error detected: Value"
    target = {"Id": "!@#$@!#$", "Arn": FUNCTION}
    assert refused(events.put_targets, Rule=rule, Targets=[target]) == (
        "ValidationException",
        rf"{begin} '!@#$@!#$' at 'targets.1.member.id' failed to satisfy constraint: Member must satisfy regular "
        r"expression pattern: [\.\-_A-Za-z0-9]+",
    )
    target = {"Id": "a" * 65, "Arn": FUNCTION}
    assert refused(events.put_targets, Rule=rule, Targets=[target])[1].endswith(
        "at 'targets.1.member.id' failed to satisfy constraint: Member must have length less than or equal to 64"
    )
    entry = {"Source": "shop", "DetailType": "Order", "Detail": "{}"}
    assert refused(events.put_events, Entries=[entry] * 11)[1].endswith(
        "at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10"
    )
    assert refused(events.put_rule, Name="a b", EventPattern=PATTERN, State="ON")[1].startswith("2 validation errors")


def answer(operation: str, body: bytes, target: str = "AWSEvents") -> Any:
    """The answer to a request that boto3 would not send."""
    request = AwsRequest("id", "POST", "/", "", [("x-amz-target", f"{target}.{operation}")], "events", body)

    async def answered() -> AwsResponse:
        return await event_bridge_api(World(clock=time.time).buses).answer(request)

    return asyncio.run(answered())


@pytest.mark.parametrize(
    ("operation", "body", "code", "words"),
    [
        ("PutEvents", b"[]", "SerializationException", "not a JSON object"),
        ("PutEvents", b"[" * 100_000, "SerializationException", "not a JSON object"),
        ("PutEvents", b'{"Entries": {}}', "SerializationException", "entries has another type"),
        ("PutEvents", b'{"Entries": [1]}', "SerializationException", r"entries\.1\.member has another type"),
        ("PutEvents", b'{"Entries": [{"Time": "soon"}]}', "SerializationException", "time has another type"),
        ("PutEvents", b"{}", "ValidationException", "Value null at 'entries' failed .* Member must not be null"),
        ("PutEvents", b" " * 9_000_000, "ValidationException", "over the limit"),
        ("PutPermission", b"{}", "UnknownOperationException", "EventBridge PutPermission: .* Fix: every key may put"),
        ("CreateArchive", b"{}", "UnknownOperationException", "this local stack has CreateEventBus, .* Fix: call one"),
        ("\x1b[31m", b"{}", "UnknownOperationException", "EventBridge this operation"),
    ],
)
def test_request_that_cannot_be_read_is_refused(operation: str, body: bytes, code: str, words: str) -> None:
    with pytest.raises(AwsError, match=words) as found:
        answer(operation, body)
    assert found.value.code == code
