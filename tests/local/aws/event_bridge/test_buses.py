"""Buses, rules, schedules and deliveries of the local EventBridge, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

import pytest

from lattice_bridge.events.json_claim import MOST_LEVELS
from lattice_bridge.local.aws.event_bridge.errors import EntryRefused
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.protocol import AwsError
from lattice_bridge.local.plan.event_target import BadTarget
from tests.support.virtual_buses import ACCOUNT, FUNCTION, REGION, World, queue_arn, seconds
from tests.support.virtual_time import BEGIN, lived, now

THROTTLED: Final = LambdaError(429, "TooManyRequestsException", "Rate Exceeded")
DEAD: Final = {"DeadLetterConfig": {"Arn": queue_arn("dead")}}


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in virtual time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        lived(test(*args, **kwargs))

    return run


async def delivered(world: World, wait: float = 1.0) -> None:
    async with world.running():
        await asyncio.sleep(wait)


# ---- events ---------------------------------------------------------------------------------------------------------


@virtual
async def test_event_reaches_function_and_queue_as_eventbridge_writes_it() -> None:
    world = World()
    world.queues.create("orders")
    world.rule({"Arn": FUNCTION}, {"Arn": queue_arn("orders")})
    arn = "arn:aws:s3:::bucket"
    event_id = world.put({"tenant": "blü"}, resources=(arn,), trace_header="Root=1-5;Sampled=1")
    await delivered(world)
    ((_, request),) = world.invoked
    expected = {
        "version": "0",
        "id": event_id,
        "detail-type": "Order Placed",
        "source": "shop",
        "account": ACCOUNT,
        "time": "2026-09-21T14:13:20Z",
        "region": REGION,
        "resources": [arn],
        "detail": {"tenant": "blü"},
    }
    assert list(json.loads(request.payload).items()) == list(expected.items())
    assert (request.type, request.trace_id, request.tenant) == ("Event", "Root=1-5;Sampled=1", None)
    (message,) = world.received("orders")
    assert message.body.encode() == request.payload
    assert message.attributes["AWSTraceHeader"] == "Root=1-5;Sampled=1"
    assert [(one.rule, one.target, one.error) for one in world.tried] == [
        ("rule", "worker", ""),
        ("rule", "orders", ""),
    ]


@virtual
async def test_event_goes_to_the_matching_enabled_rules_of_its_bus_only() -> None:
    world = World()
    world.buses.create("other")
    for name, options in {
        "takes": {},
        "other-source": {"pattern": '{"source": ["else"]}'},
        "disabled": {"state": "DISABLED"},
        "other-bus": {"bus": "other"},
        "timer": {"schedule": "rate(1 day)"},
    }.items():
        world.rule({"Arn": f"{FUNCTION}:{name}"}, name=name, **options)
    world.put()
    await delivered(world)
    assert [request.function.rpartition(":")[2] for _, request in world.invoked] == ["takes"]


@virtual
async def test_event_without_a_rule_or_for_an_unknown_bus_is_accepted_and_reported() -> None:
    world = World()
    world.put(source="else")
    world.put(bus="absent")
    await delivered(world)
    assert [(event.bus, event.source, why) for event, why in world.lost] == [
        ("default", "else", "no rule takes it"),
        ("absent", "shop", "there is no such bus"),
    ]


@virtual
async def test_bus_is_found_by_name_and_by_its_own_arn_only() -> None:
    world = World()
    deployed = "arn:aws:events:us-east-1:999988887777:event-bus/orders"
    world.buses.create("orders", arn=deployed)
    world.rule({"Arn": FUNCTION}, bus="orders")
    for bus in ("orders", deployed, f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/orders"):
        world.put(bus=bus)
    await delivered(world)
    assert len(world.invoked) == 2
    assert world.buses.rule("rule", deployed).arn == "arn:aws:events:us-east-1:999988887777:rule/orders/rule"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"source": "aws.s3"}, "NotAuthorizedForSourceException", "Not authorized for the source."),
        ({"source": ""}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
        ({"detail_type": None}, "InvalidArgument", "DetailType is a required argument"),
        ({"detail": None}, "InvalidArgument", "Detail is a required argument"),
        ({"detail": "[1]"}, "MalformedDetail", "Detail is malformed."),
        ({"detail": "{"}, "MalformedDetail", "Detail is malformed."),
        ({"detail": '{"a": NaN}'}, "MalformedDetail", "Detail is malformed."),
        ({"detail": '{"a": 1e999}'}, "MalformedDetail", "Detail is malformed."),
        ({"detail": '{"a":' + "[" * 100_000}, "MalformedDetail", "Detail is malformed."),
        ({"time": 1e30}, "InvalidArgument", "Time is not valid"),
    ],
)
@virtual
async def test_entry_that_aws_refuses_is_refused(options: dict[str, Any], code: str, words: str) -> None:
    """A client cannot forge an event of an AWS service: rules trust a source that begins with `aws.`."""
    world = World()
    world.rule({"Arn": FUNCTION}, pattern='{"source": [{"prefix": ""}]}')
    with pytest.raises(EntryRefused, match=words) as found:
        world.put(**options)
    assert found.value.code == code
    await delivered(world)
    assert not world.invoked


@virtual
async def test_events_that_wait_fill_no_more_than_the_memory() -> None:
    world = World(memory=5000)
    world.rule({"Arn": FUNCTION})
    world.put()
    with pytest.raises(EntryRefused, match="keeps no more events") as found:
        [world.put() for _ in range(10)]
    assert found.value.code == "ThrottlingException"
    await delivered(world)
    world.put()


@pytest.mark.parametrize("inside", ['{"a":', "["])
@virtual
async def test_detail_has_so_many_levels_as_the_bridge_reads(inside: str) -> None:
    """A deeper one would reach the end of Python's stack, where anything fails that happens to run there."""
    world = World()
    world.rule({"Arn": FUNCTION, "InputPath": "$.detail"})
    closing = {"[": "]", '{"a":': "}"}[inside]

    def nested(levels: int) -> str:
        return '{"a":' + inside * (levels - 1) + '"[["' + closing * (levels - 1) + "}"

    world.put(detail=nested(MOST_LEVELS))
    with pytest.raises(EntryRefused, match=r"Detail is malformed\."):
        world.put(detail=nested(MOST_LEVELS + 1))
    await delivered(world)
    [(_, request)] = world.invoked
    assert request.payload.decode() == nested(MOST_LEVELS)


@virtual
async def test_half_character_in_a_detail_is_replaced() -> None:
    world = World()
    world.queues.create("orders")
    world.rule({"Arn": FUNCTION}, {"Arn": queue_arn("orders"), "InputPath": "$.detail.a"})
    world.put(detail='{"a": "\\ud800"}')
    await delivered(world)
    assert b'"detail":{"a":"?"}' in world.invoked[0][1].payload
    assert world.received("orders")[0].body == '"?"'


@virtual
async def test_events_that_wait_at_the_end_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    world = World(refusals=[THROTTLED] * 9)
    world.rule({"Arn": FUNCTION})
    world.put()
    await delivered(world)
    world.deliveries.report_waiting()
    assert "1 event of a bus was accepted and not delivered" in caplog.text


# ---- what a target receives -----------------------------------------------------------------------------------------

EVENT_DETAIL: Final = {"id": "7", "items": ["a", "b"], "open": True, "to": {"city": "Bern"}, "text": 'a"b\n'}
PATHS: Final = {"id": "$.detail.id", "items": "$.detail.items", "open": "$.detail.open", "none": "$.detail.none"}
PATHS_TOO: Final = {"to": "$.detail.to", "text": "$.detail.text", "second": "$.detail.items[1]"}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.detail.to"}, '{"city":"Bern"}'),
        ({"InputPath": "$.detail.to.city"}, '"Bern"'),
        ({"InputPath": "$['detail']['items'][1]"}, '"b"'),
        ({"InputPath": "$.detail.items[*]"}, '["a","b"]'),
        ({"InputPath": "$.detail.none"}, "{}"),
        ("Order <id> of <items>, <open>, <none>.", '"Order 7 of [a,b], true, ."'),
        ('{"id": <id>, "at": "orders/<id>", "items": <items>}', '{"id": "7", "at": "orders/7", "items": ["a","b"]}'),
        ('{"id": "<id>", "none": <none>, "open": <open>}', '{"id": "7", "none": "", "open": true}'),
        ('"<id> first"\\n"<to> second"'.replace("\\n", "\n"), '"7 first"\n"{city:Bern} second"'),
        ('{"text": "<text>!", "raw": <text>}', '{"text": "a\\"b\\n!", "raw": "a\\"b\\n"}'),
        ('{"quote \\" <id>": <second>}', '{"quote \\" 7": "b"}'),
        ("<aws.events.rule-name> at <aws.events.event.ingestion-time>", '"rule at 2026-09-21T14:13:20Z"'),
    ],
    ids=str,
)
@virtual
async def test_target_receives_the_form_of_the_event_that_it_asks_for(form: Any, expected: str) -> None:
    """Recorded on AWS: what the placeholders of a template become inside and outside of strings."""
    world = World()
    world.queues.create("orders")
    if isinstance(form, str):
        template = form if form[0] in '{"' else f'"{form}"'
        form = {"InputTransformer": {"InputPathsMap": PATHS | PATHS_TOO, "InputTemplate": template}}
    world.rule({"Arn": queue_arn("orders"), **form})
    world.put(EVENT_DETAIL)
    await delivered(world)
    (message,) = world.received("orders")
    assert message.body == expected


@virtual
async def test_template_can_contain_the_whole_event() -> None:
    world = World()
    template = '{"all": <aws.events.event.json>, "head": <aws.events.event>, "rule": "<aws.events.rule-arn>"}'
    world.rule({"Arn": FUNCTION, "InputTransformer": {"InputTemplate": template}})
    world.put({"a": 1})
    await delivered(world)
    found = json.loads(world.invoked[0][1].payload)
    assert found["all"]["detail"] == {"a": 1}
    assert found["head"]["detailType"] == "Order Placed"
    assert not {"detail", "detail-type"} & set(found["head"])
    assert found["rule"] == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/rule"


@pytest.mark.parametrize("template", ["<items> items", '{"items": "<items>"}'])
@virtual
async def test_template_that_makes_no_json_is_not_delivered(template: str) -> None:
    world = World()
    world.queues.create("dead")
    transformer = {"InputPathsMap": PATHS, "InputTemplate": template}
    world.rule({"Arn": FUNCTION, "InputTransformer": transformer, **DEAD})
    world.put(EVENT_DETAIL)
    await delivered(world)
    assert not world.invoked
    (message,) = world.received("dead")
    assert message.message_attributes["ERROR_CODE"]["stringValue"] == "INVALID_JSON"


# ---- deliveries that fail -------------------------------------------------------------------------------------------


def attributes_of(world: World) -> dict[str, str]:
    (message,) = world.received("dead")
    return {name: str(value["stringValue"]) for name, value in message.message_attributes.items()}


@virtual
async def test_throttled_delivery_is_tried_again_after_longer_and_longer_pauses() -> None:
    world = World(refusals=[THROTTLED] * 11)
    world.rule({"Arn": FUNCTION})
    world.put()
    await delivered(world, 3000)
    times = seconds(time for time, _ in world.invoked)
    assert times == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 991, 1471]
    assert [one.outcome for one in world.tried[:2]] == ["tried again in 1 s", "tried again in 2 s"]
    assert not world.tried[-1].error
    assert len(world.deliveries) == 0


@pytest.mark.parametrize(
    ("policy", "tries", "condition"),
    [
        ({}, 186, "MaximumRetryAttempts"),
        ({"MaximumRetryAttempts": 2}, 3, "MaximumRetryAttempts"),
        ({"MaximumRetryAttempts": 0}, 1, "MaximumRetryAttempts"),
        ({"MaximumEventAgeInSeconds": 60}, 6, "MaximumEventAgeInSeconds"),
    ],
)
@virtual
async def test_event_becomes_a_dead_letter_when_its_retries_end(
    policy: dict[str, int], tries: int, condition: str
) -> None:
    world = World(refusals=[THROTTLED] * 500)
    world.queues.create("dead")
    world.rule({"Arn": FUNCTION, "RetryPolicy": policy, **DEAD})
    event_id = world.put({"a": 1})
    await delivered(world, 100_000)
    assert len(world.invoked) == tries
    messages = world.received("dead")
    assert json.loads(messages[0].body)["id"] == event_id
    found = {name: value["stringValue"] for name, value in messages[0].message_attributes.items()}
    assert found == {
        "RULE_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/rule",
        "TARGET_ARN": FUNCTION,
        "ERROR_CODE": "THROTTLING",
        "ERROR_MESSAGE": "Rate Exceeded",
        "RETRY_ATTEMPTS": str(tries - 1),
        "EXHAUSTED_RETRY_CONDITION": condition,
    }
    assert world.tried[-1].outcome == "it is in dead"


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (LambdaError(404, "ResourceNotFoundException", "Function not found"), "NO_RESOURCE"),
        (LambdaError(403, "AccessDeniedException", "no"), "NO_PERMISSIONS"),
        (LambdaError(400, "InvalidParameterValueException", MISSING), "INVALID_PARAMETER"),
        (LambdaError(413, "RequestTooLargeException", "too large"), "ERROR_FROM_TARGET"),
        (ValueError("a bug"), "INTERNAL_ERROR"),
    ],
)
@virtual
async def test_delivery_that_cannot_succeed_is_not_tried_again(refusal: Exception, code: str) -> None:
    world = World(refusals=[refusal])
    world.queues.create("dead")
    world.rule({"Arn": FUNCTION, **DEAD})
    world.put()
    await delivered(world, 1000)
    assert len(world.invoked) == 1
    found = attributes_of(world)
    assert (found["ERROR_CODE"], found["RETRY_ATTEMPTS"]) == (code, "0")
    assert "EXHAUSTED_RETRY_CONDITION" not in found


@virtual
async def test_isolated_function_as_target_has_a_note_with_the_fix() -> None:
    world = World(refusals=[LambdaError(400, "InvalidParameterValueException", MISSING)])
    world.rule({"Arn": FUNCTION})
    world.put()
    await delivered(world)
    assert world.tried[0].note.startswith("EventBridge sends no tenant id. Fix: make a bridge the target")
    assert world.tried[0].outcome == "dropped: the target has no DeadLetterConfig"


@virtual
async def test_queue_that_is_missing_is_no_resource_and_one_dead_letter_queue_that_is_missing_drops() -> None:
    world = World()
    world.rule({"Arn": queue_arn("absent"), **DEAD})
    world.put()
    await delivered(world)
    assert [(one.error, one.outcome) for one in world.tried] == [
        ("The specified queue does not exist.", "dropped: there is no queue dead")
    ]


@virtual
async def test_fifo_queue_gets_the_message_group_of_the_target() -> None:
    world = World()
    world.queues.create("orders.fifo", {"FifoQueue": "true", "ContentBasedDeduplication": "true"})
    world.rule({"Arn": queue_arn("orders.fifo"), "SqsParameters": {"MessageGroupId": "g"}})
    world.put()
    await delivered(world)
    (message,) = world.received("orders.fifo")
    assert message.attributes["MessageGroupId"] == "g"


@virtual
async def test_failing_delivery_does_not_hold_up_the_others() -> None:
    world = World(refusals=[THROTTLED])
    world.rule({"Arn": FUNCTION})
    world.put({"number": 1})
    world.put({"number": 2})
    await delivered(world, 5)
    order = [json.loads(request.payload)["detail"]["number"] for _, request in world.invoked]
    assert order == [1, 2, 1]


# ---- schedules ------------------------------------------------------------------------------------------------------


@virtual
async def test_rate_sends_the_scheduled_event_until_the_rule_is_disabled() -> None:
    world = World()
    world.rule({"Arn": FUNCTION}, schedule="rate(5 minutes)")
    async with world.running():
        await asyncio.sleep(1000)
        world.buses.set_state(world.buses.rule("rule", None), "DISABLED")
        await asyncio.sleep(1000)
        world.buses.set_state(world.buses.rule("rule", None), "ENABLED")
        await asyncio.sleep(301)
    assert [time - BEGIN for time, _ in world.invoked] == [300, 600, 900, 2300]
    event = json.loads(world.invoked[0][1].payload)
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    assert event["resources"] == [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/rule"]
    assert event["time"] == "2026-09-21T14:18:20Z"
    assert not world.lost


@virtual
async def test_cron_sends_the_scheduled_event_at_its_minutes() -> None:
    world = World()
    world.rule({"Arn": FUNCTION}, schedule="cron(30 14-15 ? * * *)")
    await delivered(world, 86_400)
    times = [json.loads(request.payload)["time"][11:] for _, request in world.invoked]
    assert times == ["14:30:00Z", "15:30:00Z"]
    assert now() == BEGIN + 86_400


# ---- what AWS refuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({}, "ValidationException", "EventPattern or ScheduleExpression must be specified"),
        ({"pattern": '{"a": 1}'}, "InvalidEventPatternException", 'not valid. Reason: "a" must be an object or an'),
        ({"pattern": "[" * 4000}, "InvalidEventPatternException", "not JSON"),
        ({"pattern": '{"a": ["' + "x" * 1_000_000 + '"]}'}, "ValidationException", "longer than 4096"),
        ({"schedule": "rate(0 minutes)"}, "ValidationException", "Parameter ScheduleExpression is not valid"),
        ({"schedule": "rate(1 day)", "bus": "other"}, "ValidationException", "only on the default event bus"),
        ({"pattern": '{"a": ["b"]}', "bus": "absent"}, "ResourceNotFoundException", "Event bus absent does not exist."),
    ],
)
@virtual
async def test_rule_that_aws_refuses_is_refused(options: dict[str, Any], code: str, words: str) -> None:
    world = World()
    world.buses.create("other")
    with pytest.raises(AwsError, match=words) as found:
        world.buses.put_rule("rule", options.pop("bus", None), **options)
    assert found.value.code == code


@virtual
async def test_replaced_rule_keeps_its_targets_and_cannot_be_deleted_with_them() -> None:
    world = World()
    world.rule({"Arn": FUNCTION})
    rule = world.buses.put_rule("rule", None, pattern='{"source": ["else"]}')
    assert list(rule.targets) == ["0"]
    with pytest.raises(AwsError, match="since it has targets"):
        world.buses.delete_rule("rule", None)
    with pytest.raises(AwsError, match="exceeds the maximum"):
        world.rule(*({"Arn": FUNCTION} for _ in range(6)))
    with pytest.raises(AwsError, match="delivers to lambda and sqs, not to sns"):
        world.rule({"Arn": "arn:aws:sns:eu-west-1:111122223333:topic"})


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"Arn": "worker"}, "Provided Arn is not in correct format"),
        ({"Arn": queue_arn("a.fifo")}, "SqsParameters must be specified for target: 0"),
        (
            {"Input": "{}", "InputPath": "$.detail"},
            "Only one of Input, InputPath, or InputTransformer must be provided",
        ),
        ({"Input": "{"}, "JSON syntax error in input for target 0"),
        ({"InputPath": "detail"}, "Invalid InputPath for target 0"),
        ({"InputTransformer": {"InputTemplate": '"<a>"'}}, "contains invalid placeholder a"),
        ({"InputTransformer": {"InputTemplate": "{}", "InputPathsMap": {"a": "$."}}}, "Invalid InputPath"),
        ({"InputTransformer": {"InputTemplate": "{}", "InputPathsMap": {"aws.x": "$"}}}, "begins with AWS"),
        ({"RetryPolicy": {"MaximumRetryAttempts": 186}}, "'186' is not from 0 to 185"),
        ({"RetryPolicy": {"MaximumEventAgeInSeconds": 1}}, "'1' is not from 60 to 86400"),
        ({"DeadLetterConfig": {"Arn": FUNCTION}}, "not the ARN of an SQS queue"),
    ],
)
@virtual
async def test_target_that_aws_refuses_is_refused(target: dict[str, Any], words: str) -> None:
    with pytest.raises(BadTarget, match=words):
        World().rule({"Arn": FUNCTION, **target})
