"""Doctor on event buses: the rules that invoke the bridge, who may send events, and the faults of both."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.facts import (
    BusFront,
    Deployment,
    FunctionName,
    RolePolicies,
    SourceFunction,
    Unread,
)
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.deployment.doctor.read import Aws
from lattice_bridge.deployment.doctor.read_sources import read_bus
from lattice_bridge.deployment.iam.policy import read_policy
from lattice_bridge.deployment.sources.facts import Bus, BusRule, FailurePlace, Queue
from tests.support.aws_server import REGION, AwsServer
from tests.support.doctor_stack import (
    ACCOUNT,
    ADMITTED,
    BEHIND,
    BRIDGE,
    CONFIGURATION,
    DEPLOYMENT,
    ORDERS,
    allows,
    get_configuration,
    policy,
    problems,
    with_policy,
)
from tests.support.recorded_aws import RecordedAws, Recording, client

SHOP: Final = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/shop"
DEFAULT: Final = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
RULE: Final = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/shop/sales"
NIGHTLY: Final = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/nightly"
QUARANTINE: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:quarantine"
FAILED: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed"
SOURCE: Final = EventSource(SHOP, "orders:live", quarantine=QUARANTINE, timeout=20)
SALES: Final = BusRule("rule sales", SHOP, "bridge:live")
FRONT: Final = BusFront(
    Bus("event bus shop", SHOP),
    (SALES, BusRule("rule nightly", DEFAULT, "bridge:live", is_schedule=True)),
    (FailurePlace("bridge:live", FAILED),),
)
EVENTS: Final = {"Service": "events.amazonaws.com"}


def admits(*sources: str, **statement: Any) -> dict[str, Any]:
    """A statement that admits rules."""
    return allows(EVENTS, sid="events", Condition={"ArnLike": {"AWS:SourceArn": list(sources)}}, **statement)


def stack(*statements: dict[str, Any], **changes: Any) -> Deployment:
    """The stack without a fault, with an event bus in front of its backend's function."""
    deployment = with_policy(*ADMITTED["Statement"], *(statements or (admits(RULE, NIGHTLY),)))
    role = DEPLOYMENT.role_policies
    assert isinstance(role, RolePolicies)
    allowed = (
        ("lambda:InvokeFunction", ORDERS.qualified),
        (["logs:CreateLogStream", "logs:PutLogEvents"], "*"),
        ("sqs:SendMessage", [QUARANTINE, FAILED]),
    )
    rights = policy(*({"Effect": "Allow", "Action": one, "Resource": arn} for one, arn in allowed))
    return replace(
        deployment,
        role_policies=replace(role, statements=read_policy(rights)),
        sources=(SourceFunction(SOURCE, BEHIND.function),),
        queues=((QUARANTINE, Queue("queue quarantine", QUARANTINE, retention=1_209_600)),),
        bus=replace(FRONT, **changes),
    )


def found_in(deployment: Deployment, rules: tuple[tuple[str, str], ...] = ()) -> list[Finding]:
    options = Options(CONFIGURATION.options.backends, (SOURCE,), CONFIGURATION.options.services)
    return problems(deployment, replace(CONFIGURATION, options=options, trusted_sources=rules))


def test_right_stack_with_a_bus_has_no_fault() -> None:
    assert found_in(stack()) == []


UNREAD: Final = Unread("events:ListRuleNamesByTarget", SHOP, "AccessDeniedException")
CASES: Final[dict[str, tuple[Deployment, str, str, str]]] = {
    "a target rewrites the event": (
        stack(rules=(replace(SALES, rewrites="InputTransformer"),)),
        "error",
        "rule sales",
        "InputTransformer rewrites the event before the bridge",
    ),
    "a rule of another bus": (
        stack(rules=(SALES, replace(SALES, label="rule other", bus=DEFAULT))),
        "error",
        "rule other",
        "it sends events of the bus default, and bridge.toml has shop",
    ),
    "a rule that is disabled": (
        stack(rules=(replace(SALES, enabled=False),)),
        "warning",
        "rule sales",
        "it is disabled",
    ),
    "no rule": (
        stack(rules=(), failures=()),
        "error",
        "event bus shop",
        "no rule sends events of the event bus shop to the bridge",
    ),
    "unread rules": (stack(rules=UNREAD), "unknown", "rules", "could not be read: AccessDeniedException"),
    "no such bus": (stack(bus=None), "error", "event bus shop", "no such event bus"),
    "Trap E6: no failure destination": (
        stack(failures=(FailurePlace("bridge:live", None),)),
        "error",
        "bridge:live",
        "it has no OnFailure destination, and receives events of shop as bridge:live",
    ),
    "failures that could not be read": (
        stack(failures=(Unread("lambda:GetFunctionEventInvokeConfig", BRIDGE.qualified, "AccessDeniedException"),)),
        "unknown",
        "failures of bridge:live",
        "could not be read: AccessDeniedException",
    ),
    "failures in the quarantine": (
        stack(failures=(FailurePlace("bridge:live", QUARANTINE),)),
        "warning",
        "bridge:live",
        "its OnFailure destination is also the quarantine of shop",
    ),
    "no right to keep failures": (
        stack(failures=(FailurePlace("bridge:live", f"{FAILED}2"),)),
        "error",
        "role bridge-role",
        "not allowed",
    ),
    "every rule of every account": (
        stack(allows(EVENTS, sid="events")),
        "error",
        "invoke permission bridge:live",
        "events.amazonaws.com may invoke it from any rule of any account: no aws:SourceArn, by statement events",
    ),
    "every rule of the bus": (
        stack(admits(RULE.replace("sales", "*"))),
        "error",
        "invoke permission bridge:live",
        f"events.amazonaws.com may invoke it from {RULE.replace('sales', '*')}, which is not one rule of the bus in "
        "bridge.toml, by statement events",
    ),
    "a rule of another bus may invoke": (
        stack(admits(RULE.replace("shop", "partners"))),
        "error",
        "invoke permission bridge:live",
        f"events.amazonaws.com may invoke it from {RULE.replace('shop', 'partners')}, which is not one rule of the bus "
        "in bridge.toml, by statement events",
    ),
    "a rule of another account may invoke": (
        stack(admits(RULE.replace(ACCOUNT, "999999999999"))),
        "error",
        "invoke permission bridge:live",
        f"events.amazonaws.com may invoke it from {RULE.replace(ACCOUNT, '999999999999')}, which is not one rule of "
        "the bus in bridge.toml, by statement events",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_fault_is_found_on_its_part(name: str) -> None:
    deployment, level, subject, actual = CASES[name]
    (found,) = found_in(deployment)
    assert (found.level, found.subject, found.actual) == (level, subject, actual)


def test_dead_letter_queue_of_the_bridge_keeps_failures() -> None:
    assert found_in(stack(failures=(FailurePlace("bridge:live", None, is_known=False),))) == []


def test_rules_may_invoke_only_if_bridge_toml_has_a_bus() -> None:
    (found,) = problems(with_policy(*ADMITTED["Statement"], admits(RULE)))
    assert (found.level, found.actual) == ("error", "events.amazonaws.com may invoke it, by statement events")


def test_other_accounts_may_send_is_a_warning_only_if_a_rule_trusts_the_bus() -> None:
    """Trap E2: an event of the bus is then the proof of its tenant."""
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": "*"}
    opened = stack(bus=Bus("event bus shop", SHOP, read_policy(policy(everyone))))
    assert found_in(opened) == []
    (found,) = found_in(opened, ((SHOP, "shop-bus"),))
    actual = "everyone may send events to it, and the rule shop-bus of bridge.toml names no account"
    assert (found.level, found.actual) == ("warning", actual)


# ---- reading --------------------------------------------------------------------------------------------------------


def test_rules_of_the_bus_and_of_the_default_one_are_read(aws: AwsServer) -> None:
    events = client("events", aws.url)
    events.create_event_bus(Name="shop")
    everyone = policy({"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": SHOP})
    events.put_permission(EventBusName="shop", Policy=json.dumps(everyone))
    for name, bus in (("sales", "shop"), ("other", "shop"), ("open", "default")):
        pattern = json.dumps({"source": ["shop"]})
        events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern, State="ENABLED")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)", State="DISABLED")
    rewritten = {"Id": "b", "Arn": BRIDGE.arn, "Input": "{}"}
    events.put_targets(Rule="sales", EventBusName="shop", Targets=[{"Id": "a", "Arn": BRIDGE.qualified}, rewritten])
    events.put_targets(Rule="other", EventBusName="shop", Targets=[{"Id": "a", "Arn": ORDERS.qualified}])
    for name in ("open", "nightly"):
        events.put_targets(Rule=name, Targets=[{"Id": "a", "Arn": BRIDGE.qualified}])
    bare = FunctionName(BRIDGE.arn)
    kept = {"DestinationConfig": {"OnFailure": {"Destination": FAILED}}}
    asked = {"FunctionName": BRIDGE.arn, "Qualifier": "live"}
    recordings = [
        get_configuration(BRIDGE),
        get_configuration(bare, DeadLetterConfig={"TargetArn": FAILED}),
        Recording("lambda", "get_function_event_invoke_config", asked, kept),
    ]
    with RecordedAws(recordings) as recorded:
        reader = Aws(lambda one: client(one, aws.url) if one == "events" else recorded.client(one))
        found = read_bus(reader, SHOP, BRIDGE, [BRIDGE, bare])
    assert isinstance(found.bus, Bus)
    assert [one.effect for one in found.bus.policy] == ["Allow"]
    assert found.rules == (
        BusRule("rule sales", SHOP, "bridge:live"),
        BusRule("rule sales", SHOP, "bridge", rewrites="Input"),
        BusRule("rule open", DEFAULT, "bridge:live"),
        BusRule("rule nightly", DEFAULT, "bridge:live", is_schedule=True, enabled=False),
    )
    assert found.failures == (FailurePlace("bridge:live", FAILED), FailurePlace("bridge", None, is_known=False))


def test_bus_that_does_not_exist_has_the_rules_of_the_default_one(aws: AwsServer) -> None:
    reader = Aws(lambda one: client(one, aws.url))
    assert read_bus(reader, SHOP.replace("shop", "absent"), BRIDGE, []) == BusFront(None, ())
    elsewhere = read_bus(reader, SHOP.replace(REGION, "us-east-1"), BRIDGE, [BRIDGE])
    assert isinstance(elsewhere.bus, Unread)
    assert isinstance(elsewhere.rules, Unread)
