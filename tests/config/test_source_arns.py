"""`[[event_source]]` for streams, tables and event buses: their ARNs, their own keys, and rules for their records.

wrong_maps.toml has most of the faults, and test_event_source.py has queues.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, get_args

import pytest

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.map import read_map
from lattice_bridge.config.tables.source_arns import SERVICES, is_bus, is_source, queue_fault, service_in, source_fault
from lattice_bridge.events.record import Claim, ClaimKind
from lattice_bridge.review.check import findings_of

ACCOUNT: Final = "111122223333"
PLACE: Final = f"eu-west-1:{ACCOUNT}"
ARNS: Final = {
    "sqs": f"arn:aws:sqs:{PLACE}:orders",
    "kinesis": f"arn:aws:kinesis:{PLACE}:stream/clicks",
    "dynamodb": f"arn:aws:dynamodb:{PLACE}:table/orders",
    "events": f"arn:aws:events:{PLACE}:event-bus/orders",
}
POISON: Final = f"arn:aws:sqs:{PLACE}:poison"
CLAIMS: Final[dict[str, str]] = {
    "message_group": "",
    "attribute": ', name = "tenant"',
    "body": ', path = ["meta", "tenant"]',
    "partition_key": "",
    "key": ', name = "meta.tenant"',
    "image": ', name = "Größe"',
    "detail": ', path = ["tenant"]',
}
RULES: Final = f"""
[tenants]
blue = {{}}
green = {{}}
[[rule]]
id = "account"
event_account = "{ACCOUNT}"
tenants = ["blue", "green"]
[[rule]]
id = "objects"
event_account = "{ACCOUNT}"
bus_source = "aws.s3"
detail_type = "Object Created"
source = "{ARNS["events"]}"
tenants = "*"
[[rule]]
id = "schedule"
source = "{ARNS["events"]}"
bus_source = "aws.events"
tenant = "blue"
[[rule]]
id = "orders"
source = "{ARNS["events"]}"
detail_type = "Order placed"
tenant = "blue"
accept_risk = "the bus policy allows no other publisher to write it"
[[rule]]
id = "leaked"
event_account = "{ACCOUNT}"
bus_source = "shop"
deny = true
[[rule]]
id = "clicks"
source = "{ARNS["kinesis"]}"
tenants = ["blue", "green"]
accept_risk = "only the shop may write to this stream"
[[rule]]
id = "table"
source = "{ARNS["dynamodb"]}"
tenant = "blue"
"""
WHOLE: Final = f"""
[[event_source]]
arn = "{ARNS["kinesis"]}"
function = "clicks:live"
claim = {{ from = "partition_key" }}
deaggregate = true
quarantine = "{POISON}.fifo"
[[event_source]]
arn = "{ARNS["dynamodb"]}"
function = "orders:live"
on_poison = "block"
pipe = "enrichment"
[[event_source]]
arn = "{ARNS["events"]}"
function = "events:live"
claim = {{ from = "detail", path = ["tenant"] }}
invocation = "async"
quarantine = "{POISON}"
[[event_source]]
arn = "{ARNS["sqs"]}"
function = "orders:live"
pipe = "target"
{RULES}"""
SOURCES: Final = (
    EventSource(
        ARNS["kinesis"], "clicks:live", claim=Claim("partition_key"), quarantine=f"{POISON}.fifo", deaggregate=True
    ),
    EventSource(ARNS["dynamodb"], "orders:live", pipe="enrichment"),
    EventSource(
        ARNS["events"],
        "events:live",
        claim=Claim("detail", path=("tenant",)),
        invocation="async",
        quarantine=POISON,
    ),
    EventSource(ARNS["sqs"], "orders:live", pipe="target"),
)


def source(arn: str, *lines: str) -> str:
    return "\n".join(["[[event_source]]", f'arn = "{arn}"', 'function = "orders"', *lines, ""])


def errors(text: str) -> list[str]:
    return [finding.text for finding in findings_of(text) if finding.level == "error"]


# ---- whole files ----------------------------------------------------------------------------------------------------


def test_sources_of_every_service_are_read_in_the_order_of_the_file() -> None:
    assert errors(WHOLE) == []
    assert Settings.from_text(WHOLE).options.event_sources == SOURCES


def test_compiled_configuration_means_the_same() -> None:
    """Trap E5: also for rules that are for a part of an account's events."""
    read, compiled = Settings.from_text(WHOLE), compile_document(parse_document(WHOLE), Path())
    for again in (Settings.from_text(compiled), Settings.from_text(WHOLE, compiled=compiled)):
        assert again.options == read.options
        assert again.tenant_map.rules == read.tenant_map.rules


def test_on_poison_is_for_the_check_of_the_map_alone() -> None:
    """Trap E22: it acknowledges that a stream has no quarantine. The router reports a permanent fault in any case."""
    rule = f'[tenants]\nblue = {{}}\n[[rule]]\nid = "all"\nsource = "{ARNS["kinesis"]}"\ntenant = "blue"\n'
    (found,) = Settings.from_text(source(ARNS["kinesis"], 'on_poison = "block"') + rule).options.event_sources
    assert found == EventSource(ARNS["kinesis"], "orders")


def test_bus_whose_name_ends_like_a_fifo_queues_may_be_asynchronous() -> None:
    """Trap E10: the service decides, and not the name."""
    bus = f"{ARNS['events']}.fifo"
    rule = f'[tenants]\nblue = {{}}\n[[rule]]\nid = "all"\nsource = "{bus}"\ntenant = "blue"\n'
    assert errors(source(bus, 'invocation = "async"') + rule) == []


def test_tests_of_events_are_read() -> None:
    test = f'event_account = "{ACCOUNT}"\nbus_source = "shop"\ndetail_type = "Order placed"\nexpect = "refused"\n'
    (read,) = read_map(parse_document(f'{WHOLE}[[test]]\nsource = "{ARNS["events"]}"\n{test}'), Path()).tests
    assert (read.event_account, read.bus_source, read.detail_type) == (ACCOUNT, "shop", "Order placed")


# ---- ARNs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arn",
    [
        *ARNS.values(),
        *(arn.replace("arn:aws:", "arn:aws-cn:") for arn in ARNS.values()),
        f"arn:aws:kinesis:{PLACE}:stream/" + "s" * 128,
        f"arn:aws:kinesis:{PLACE}:stream/A.b_c-9",
        f"arn:aws:dynamodb:{PLACE}:table/abc",
        f"arn:aws:dynamodb:{PLACE}:table/" + "t" * 255,
        f"arn:aws:events:{PLACE}:event-bus/default",
        f"arn:aws:events:{PLACE}:event-bus/aws.partner/example.com/1",
    ],
)
def test_arn_of_a_source_is_accepted(arn: str) -> None:
    assert source_fault("arn", arn) is None
    assert is_source(arn)
    assert (queue_fault("arn", arn) is None) == (service_in(arn) == "sqs")
    assert is_bus(arn) == (service_in(arn) == "events")


@pytest.mark.parametrize("service", ARNS)
def test_arn_that_is_nearly_one_of_a_source_is_refused(service: str) -> None:
    """Trap E5: sources are compared in full, so another spelling would be another source."""
    arn = ARNS[service]
    near = [
        f"{arn}\n",
        f" {arn}",
        arn.upper(),
        arn.replace("1111", "111"),
        arn.replace("1", "١"),
        f"{arn}*",
        f"{arn}:1",
    ]
    near += [
        arn.replace("eu-west-1", ""),
        arn.replace("arn:aws:", "arn:"),
        arn.replace("orders", "").replace("clicks", ""),
    ]
    near += [arn.replace("stream/", "").replace("table/", "ta/").replace("event-bus/", "") + "\x00"]
    for text in near:
        fault = source_fault("arn", text)
        assert fault is not None, text
        assert "Fix: write it in " in fault
        assert fault.isprintable()


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:dynamodb:{PLACE}:table/orders/stream/\x1b[31m",
        f"arn:aws:kinesis:{PLACE}:stream/clicks/consumer/x\n",
        f"arn:aws:events:{PLACE}:rule/orders/\u202eevil",
        "arn:aws:pipes:\x07",
    ],
)
def test_message_about_an_arn_never_acts_on_a_terminal(arn: str) -> None:
    """Trap G3."""
    assert str(source_fault("arn", arn)).isprintable()


# ---- claims ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLAIMS)
@pytest.mark.parametrize("service", SERVICES)
def test_each_service_accepts_its_own_claims_alone(service: str, kind: ClaimKind) -> None:
    """Trap E2: a claim of another service would be missing in every record."""
    claim = f'claim = {{ from = "{kind}"{CLAIMS[kind]} }}'
    rule = f'[tenants]\nblue = {{}}\n[[rule]]\nid = "all"\nsource = "{ARNS[service]}"\ntenant = "blue"\n'
    found = errors(source(ARNS[service], claim, f'quarantine = "{POISON}"') + rule)
    if kind in SERVICES[service].claims:
        assert found == []
    else:
        (error,) = found
        assert f"for {SERVICES[service].source}, write " in error
        assert all(name in error.partition("Fix: ")[2] for name in SERVICES[service].claims)


def test_table_of_claims_has_every_kind() -> None:
    assert set(CLAIMS) == set(get_args(ClaimKind)) == {kind for one in SERVICES.values() for kind in one.claims}


@pytest.mark.parametrize(("name", "is_good"), [("n" * 256, True), ("n" * 257, False), ("", False)])
def test_name_of_an_items_attribute_is_bounded(name: str, is_good: bool) -> None:
    """Trap D9: it is read for every record."""
    claim = f'claim = {{ from = "image", name = {json.dumps(name)} }}'
    found = errors(source(ARNS["dynamodb"], claim, f'quarantine = "{POISON}"') + RULES)
    assert (not [one for one in found if "claim: name" in one]) == is_good


# ---- parts of events ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["bus_source", "detail_type"])
@pytest.mark.parametrize(
    "value", ["", " ", " shop", "shop ", "shop\n", "sh\x00op", "s" * 257, "shop.*", "*", "sh\u2028op"]
)
@pytest.mark.parametrize("outcome", ['tenant = "blue"\naccept_risk = "a test"', "deny = true"])
def test_part_of_events_that_no_event_has_is_refused(key: str, value: str, outcome: str) -> None:
    """Trap E2: what seems to be a pattern never matches. In a rule that denies, that would deny nothing."""
    rule = f'[[rule]]\nid = "part"\nevent_account = "{ACCOUNT}"\n{key} = {json.dumps(value)}\n{outcome}\n'
    (error,) = errors(source(ARNS["events"]) + "[tenants]\nblue = {}\n" + rule)
    assert error.startswith(f'rule "part": {key} ')
    assert error.isprintable()


@pytest.mark.parametrize(
    "value", ["s" * 256, "aws.partner/example.com/1", "EC2 Instance State-change Notification", "Größe"]
)
def test_part_of_events_is_any_text(value: str) -> None:
    rule = f'[[rule]]\nid = "part"\nevent_account = "{ACCOUNT}"\ndetail_type = {json.dumps(value)}\ndeny = true\n'
    assert errors(source(ARNS["events"]) + "[tenants]\nblue = {}\n" + rule) == []
