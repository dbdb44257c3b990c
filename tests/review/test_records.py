"""Explanations of records, each compared with what the router does with the same record."""

from __future__ import annotations

from typing import Any, Final

import pytest

from lattice_bridge.config.settings import Settings
from lattice_bridge.events.batch import batch_of
from lattice_bridge.events.sqs import parse_sender
from lattice_bridge.quarantine import ATTRIBUTE, Quarantine
from lattice_bridge.review.near_misses import near_misses
from lattice_bridge.review.records import Sources
from lattice_bridge.router import Router
from lattice_bridge.testing import sqs_event, sqs_record
from tests.support.queue_maps import BLUE, ORDERS, PREFIX, QUEUES, SHOP
from tests.support.stream_maps import CARTS, CLICKS, MAP
from tests.support.stream_maps import SHOP as STREAM_BUS

SETTINGS: Final = Settings.from_text(QUEUES)
SOURCES: Final = Sources(SETTINGS.options.event_sources)
RULES: Final = SETTINGS.tenant_map.rules


def record(
    tenant: str | None = "blue", queue: str = ORDERS, sender: str = f"{SHOP}:i-1", **more: Any
) -> dict[str, Any]:
    return sqs_record(queue=queue, sender=sender, attributes={} if tenant is None else {"tenant": tenant}, **more)


LOOPED: Final[dict[str, Any]] = {"attributes": {ATTRIBUTE: '{"hops": 5}', "tenant": "blue"}}
CASES: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "allowed": (record(), "invoked", "blue"),
    "by its queue alone": (record(None, BLUE, "AIDAEXAMPLEEXAMPLE123"), "invoked", "blue"),
    "another tenant": (record("bleu"), "quarantined", "tenant_not_allowed"),
    "suspended": (record("red"), "quarantined", "tenant_suspended"),
    "no claim": (record(None), "quarantined", "claim_missing"),
    "no tenant id": (record(" blue"), "quarantined", "tenant_malformed"),
    "unknown sender": (record(sender="AROAOTHEREXAMPLE1234:i-1"), "quarantined", "no_rule"),
    "a condition": (record(queue=BLUE), "reported", "condition_failed"),
    "another queue": (record(queue=f"{PREFIX}ordres"), "reported", "source_not_configured"),
    "a loop": (sqs_record(queue=ORDERS, sender=f"{SHOP}:i-1", **LOOPED), "reported", "loop"),
    "not what SQS writes": ({**record(), "body": None}, "quarantined", "malformed_event"),
    "one that is too large": ({**record(), "body": "x" * 6_300_000}, "quarantined", "request_too_large"),
}


@pytest.mark.parametrize("case", CASES)
def test_explanation_is_what_the_router_does(case: str) -> None:
    """The router's own line has the reason; a quarantine that fails leaves it in the detail."""
    content, outcome, reason_or_tenant = CASES[case]
    (read,) = batch_of({"Records": [content]}).records
    explained = SOURCES.explain(read, RULES)
    lines: list[str] = []
    stored: list[Any] = []
    router = Router(
        SETTINGS.tenant_map,
        lambda call: stored.append(call.tenant) or b"{}",  # type: ignore[func-returns-value]  # None, so `or` goes on
        sources=SETTINGS.options.event_sources,
        quarantine=_Stores(stored),
        write=lines.append,
    )
    response = router({"Records": [content]}, None)
    assert explained.outcome == outcome
    assert (outcome == "reported") == bool(response["batchItemFailures"])
    assert stored == ([] if outcome == "reported" else [reason_or_tenant])
    reason = "ok" if explained.fault is None else explained.fault.reason
    assert f'"reason":"{reason}"' in lines[0]
    assert reason_or_tenant in ("blue", reason)


class _Stores(Quarantine):
    """Stores the reason alone."""

    def __init__(self, stored: list[Any]) -> None:
        super().__init__()
        self._stored = stored

    def store(self, arn: str, record: object, reason: str, tenant: object, left: object) -> None:
        self._stored.append(reason)


@pytest.mark.parametrize(
    ("claim", "reason"), [("blue", "allowed"), (None, "claim_missing"), ("bleu", "tenant_not_allowed")]
)
def test_described_record_is_decided_as_one_of_an_event(claim: str | None, reason: str) -> None:
    described = SOURCES.describe(ORDERS, parse_sender(f"{SHOP}:i-1"), claim, RULES)
    (read,) = batch_of(sqs_event(record(claim))).records
    assert SOURCES.decide(read, RULES).reason == reason
    assert (described.fault.reason if described.fault else "allowed") == reason


def test_explanation_has_nothing_of_the_message() -> None:
    """Trap E24."""
    (read,) = batch_of(sqs_event(record(body='{"card": "4111"}'))).records
    explained = SOURCES.explain(read, RULES)
    assert "4111" not in repr(explained.explanation)
    assert "4111" not in str(explained.fault)


# ---- near misses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        (ORDERS.replace("eu-west-1", "us-east-1"), "region"),
        (ORDERS.replace("111122223333", "444455556666"), "account"),
        ("arn:aws:sqs:us-east-1:444455556666:orders", "place"),
        (ORDERS.replace(":aws:", ":aws-cn:"), "partition"),
        (f"{PREFIX}ordres", "spelling"),
        (f"{PREFIX}Orders", "spelling"),
        (f"{ORDERS}.fifo", "fifo"),
        ("orders", "name"),
        ("https://sqs.eu-west-1.amazonaws.com/111122223333/orders", "name"),
    ],
)
def test_queue_that_is_nearly_an_event_source_is_a_near_miss(arn: str, kind: str) -> None:
    assert [(miss.kind, miss.expected, miss.actual) for miss in SOURCES.near(arn).found] == [(kind, ORDERS, arn)]


@pytest.mark.parametrize("arn", ["", ":", ":" * 10_000, f"{PREFIX}other", "arn:aws:sqs:us-east-1:444455556666:other"])
def test_queue_that_is_another_one_is_no_near_miss(arn: str) -> None:
    assert SOURCES.near(arn) == ((), 0)


STREAM_SOURCES: Final = Sources(Settings.from_text(MAP).options.event_sources)


@pytest.mark.parametrize(
    ("arn", "kind", "meant"),
    [
        (CLICKS.replace("eu-west-1", "us-east-1"), "region", CLICKS),
        (CLICKS.replace("clicks", "clikcs"), "spelling", CLICKS),
        (f"{CLICKS}/consumer/reader:1764493200", "below", CLICKS),
        ("clicks", "name", CLICKS),
        ("stream/clicks", "name", CLICKS),
        (f"{CARTS}/stream/2026-11-30T09:00:00.000", "below", CARTS),
        (f"{CARTS.replace('111122223333', '444455556666')}/stream/2026-11-30T09:00:00.000", "account", CARTS),
        ("carts", "name", CARTS),
        (CARTS.replace("carts", "Carts"), "spelling", CARTS),
        (STREAM_BUS.replace("shop", "shops"), "spelling", STREAM_BUS),
        ("shop", "name", STREAM_BUS),
    ],
)
def test_stream_that_is_nearly_an_event_source_is_a_near_miss(arn: str, kind: str, meant: str) -> None:
    assert [(miss.kind, miss.expected) for miss in STREAM_SOURCES.near(arn).found] == [(kind, meant)]


@pytest.mark.parametrize("arn", ["event-bus", CLICKS.replace(":kinesis:", ":sqs:"), f"{CARTS}x/stream/2026", "table"])
def test_source_of_another_service_or_name_is_no_near_miss(arn: str) -> None:
    found = [miss.kind for miss in STREAM_SOURCES.near(arn).found]
    assert found == (["spelling"] if arn.startswith(CARTS) else [])


def test_near_misses_of_a_queue_are_bounded() -> None:
    """Trap D9."""
    many = Sources(
        Settings.from_text(
            QUEUES
            + "".join(
                f'[[event_source]]\narn = "{ORDERS.replace("eu-west-1", f"eu-west-{number}")}"\nfunction = "f"\n'
                for number in range(2, 100)
            )
        ).options.event_sources
    )
    found = many.near(ORDERS.replace("eu-west-1", "us-east-1"))
    assert (len(found.found), found.left_out) == (5, 94)


@pytest.mark.parametrize(
    ("sender", "kind", "expected"),
    [
        ("AROASHOPEXAMPLE12354:i-1", "spelling", f"sender {SHOP}"),
        ("AROAJOBSEXAMPLE12345:worker-7", "session", "sender AROAJOBSEXAMPLE12345, session i-1"),
    ],
)
def test_sender_that_a_rule_is_nearly_for_is_a_near_miss(sender: str, kind: str, expected: str) -> None:
    """Trap E4: the session of another one, and an id with two letters swapped, are not the sender."""
    session = (
        'sender = { role_id = "AROAJOBSEXAMPLE12345", session = "i-1" }\nsession_set_by = "ec2"\ntenant = "blue"\n'
    )
    rules = Settings.from_text(f'{QUEUES}[[rule]]\nid = "job"\n{session}').tenant_map.rules
    explanation = SOURCES.describe(ORDERS, parse_sender(sender), "blue", rules).explanation
    assert explanation is not None
    assert [(miss.kind, miss.expected) for miss in near_misses(explanation, rules).found] == [(kind, expected)]


def test_record_without_the_choice_has_the_tenants_as_a_near_miss() -> None:
    text = QUEUES.replace('claim = { from = "attribute", name = "tenant" }', "")
    settings = Settings.from_text(text)
    sources, rules = Sources(settings.options.event_sources), settings.tenant_map.rules
    explanation = sources.describe(ORDERS, parse_sender(f"{SHOP}:i-1"), None, rules).explanation
    assert explanation is not None
    (miss,) = near_misses(explanation, rules).found
    assert (miss.kind, miss.text, miss.actual) == ("choice", "the record asks for no tenant", "no claim")


def test_rule_for_anyone_is_no_near_miss_of_a_record() -> None:
    anyone = '[[rule]]\nid = "open"\nanyone = true\ntenant = "blue"\naccept_risk = "a test"\n'
    rules = Settings.from_text(QUEUES + anyone).tenant_map.rules
    explanation = SOURCES.describe(ORDERS, parse_sender("AIDAEXAMPLEEXAMPLE123"), "blue", rules).explanation
    assert explanation is not None
    assert near_misses(explanation, rules).found == ()
