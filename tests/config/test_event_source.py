"""`[[event_source]]` and rules for records: what they load as, in TOML and compiled.

tests/config/wrong_maps.toml has most of the faults.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document, sealed
from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Backend, Options
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.map import read_map
from lattice_bridge.config.tables.source_arns import queue_fault
from lattice_bridge.errors import InvalidMap
from lattice_bridge.events.record import Claim
from lattice_bridge.review.check import findings_of
from tests.support.builders import MAP

QUEUE: Final = "arn:aws:sqs:eu-west-1:111122223333:orders"
SOURCE: Final = f'[[event_source]]\narn = "{QUEUE}"\nfunction = "orders-worker:live"\n'
RULES: Final = f"""
[tenants]
blue = {{}}
green = {{}}
[[rule]]
id = "shop"
sender = {{ role_id = "AROADBQP57FF2AEXAMPLE" }}
source = "{QUEUE}"
tenants = ["blue", "green"]
[[rule]]
id = "queue"
source = "{QUEUE}"
tenants = "*"
accept_risk = "only the shop may send"
[[rule]]
id = "leaked"
sender = {{ user_id = "AIDACKCEVSQ6C2EXAMPLE" }}
deny = true
"""
WHOLE: Final = f"""
{SOURCE}isolated = false
claim = {{ from = "body", path = ["meta", "tenant"] }}
invocation = "async"
concurrency = 4
quarantine = "{QUEUE}-quarantine"
timeout = 12.5
{SOURCE.replace("orders", "clicks")}claim = {{ from = "attribute", name = "tenant" }}
{SOURCE.replace('orders"', 'orders.fifo"', 1)}claim = {{ from = "message_group" }}
{RULES}"""
SOURCES: Final = (
    EventSource(
        QUEUE,
        "orders-worker:live",
        isolated=False,
        claim=Claim("body", path=("meta", "tenant")),
        invocation="async",
        concurrency=4,
        quarantine=f"{QUEUE}-quarantine",
        timeout=12.5,
    ),
    EventSource(QUEUE.replace("orders", "clicks"), "clicks-worker:live", claim=Claim("attribute", name="tenant")),
    EventSource(f"{QUEUE}.fifo", "orders-worker:live", claim=Claim("message_group")),
)


def errors(text: str) -> list[str]:
    return [finding.text for finding in findings_of(text) if finding.level == "error"]


def compiled(text: str) -> str:
    return compile_document(parse_document(text), Path())


def test_event_sources_are_read_in_the_order_of_the_file() -> None:
    assert Settings.from_text(WHOLE).options.event_sources == SOURCES


def test_event_source_with_two_keys_has_safe_defaults() -> None:
    (source,) = Settings.from_text(SOURCE + RULES).options.event_sources
    assert source == EventSource(QUEUE, "orders-worker:live")
    assert (source.isolated, source.invocation, source.claim, source.quarantine) == (True, "sync", None, None)


def test_compiled_configuration_means_the_same() -> None:
    """Trap E5: a compiled map takes records of exactly the queues that its text names."""
    read = Settings.from_text(WHOLE)
    for again in (Settings.from_text(compiled(WHOLE)), Settings.from_text(WHOLE, compiled=compiled(WHOLE))):
        assert again.options == read.options
        assert again.tenant_map.rules == read.tenant_map.rules


def test_configuration_that_was_compiled_before_has_no_event_source() -> None:
    """Trap E5: the compiled maps of older versions load."""
    members: dict[str, Any] = json.loads(compiled(f'{MAP}[[backend]]\nfunction = "orders"\n'))
    del members["sha256"]
    assert members["options"].pop("event_sources") == []
    loaded = Settings.from_text(sealed(members))
    assert loaded.options == Options((Backend("/", "orders"),))


def test_compiled_rule_of_an_unknown_anchor_never_loads() -> None:
    """A newer version's anchor: its rules would be lost, also those that deny."""
    members: dict[str, Any] = json.loads(compiled(WHOLE))
    del members["sha256"]
    members["owners"]["event-region"] = members["owners"].pop("source")
    with pytest.raises(InvalidMap, match="has another format"):
        Settings.from_text(sealed(members))


# ---- whole files ----------------------------------------------------------------------------------------------------


def test_file_with_event_sources_needs_no_backend() -> None:
    settings = Settings.from_text(SOURCE + RULES)
    assert settings.options.backends == ()
    assert Settings.from_text(compiled(SOURCE + RULES)).options == settings.options
    assert errors(SOURCE + RULES) == []


def test_file_with_a_backend_needs_no_event_source() -> None:
    assert Settings.from_text(f'{MAP}[[backend]]\nfunction = "orders"\n').options.event_sources == ()


@pytest.mark.parametrize("text", [MAP, f"event_source = []\n{MAP}"])
def test_file_with_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidMap, match=r"no \[\[backend\]\] and no \[\[event_source\]\]"):
        Settings.from_text(text)


def test_misspelt_event_source_has_its_own_fault_alone() -> None:
    with pytest.raises(InvalidMap) as caught:
        Settings.from_text((SOURCE + RULES).replace("[[event_source]]", "[[event_sources]]"))
    assert [fault.partition(": ")[2] for fault in caught.value.faults] == ["unknown key; did you mean event_source?"]


def test_function_of_the_environment_serves_requests_and_no_records() -> None:
    """Trap E5: LATTICE_BRIDGE_FUNCTION adds a backend, and does not change where records go."""
    options = Settings.from_text(SOURCE + RULES, function="web").options
    assert [backend.function for backend in options.backends] == ["web"]
    assert [source.function for source in options.event_sources] == ["orders-worker:live"]


# ---- faults that a table of texts does not show ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "arn",
    [
        f"{QUEUE}\n",
        f" {QUEUE}",
        QUEUE.upper(),
        f"{QUEUE}/x",
        f"{QUEUE}.fifo.fifo",
        f"{QUEUE}.Fifo",
        QUEUE.replace("1111", "111"),
        QUEUE.replace("1", "١"),
        QUEUE.replace("orders", "o" * 81),
        QUEUE.replace("orders", "o" * 76 + ".fifo"),
        QUEUE.replace("orders", "*"),
        "",
    ],
)
def test_arn_that_is_nearly_a_queues_is_refused(arn: str) -> None:
    """Trap E5: sources are compared in full, so another spelling would be another queue."""
    assert "is not the ARN of an SQS queue" in str(queue_fault("arn", arn))


@pytest.mark.parametrize(
    "arn",
    [
        *(QUEUE, f"{QUEUE}.fifo", QUEUE.replace("aws", "aws-us-gov"), QUEUE.replace("orders", "o" * 80)),
        QUEUE.replace("orders", "o" * 75 + ".fifo"),
        "arn:aws:sqs:us-east-1:000000000000:A_b-9",
    ],
)
def test_arn_of_a_queue_is_accepted(arn: str) -> None:
    assert queue_fault("arn", arn) is None


@pytest.mark.parametrize(
    "name", ["", ".tenant", "tenant.", "a..b", "aws.x", "AMAZON.x", "ten ant", "tenant\n", "ü", "n" * 257]
)
def test_name_that_no_message_attribute_has_is_refused(name: str) -> None:
    claim = f'claim = {{ from = "attribute", name = {json.dumps(name)} }}\n'
    assert any("is not the name of a message attribute" in one for one in errors(SOURCE + claim + RULES))


@pytest.mark.parametrize("path", [["x"] * 17, ["x" * 257], ["meta", ""]])
def test_path_of_a_claim_is_bounded(path: list[str]) -> None:
    """Trap D9: it is read for every record."""
    claim = f'claim = {{ from = "body", path = {json.dumps(path)} }}\n'
    assert any(": claim: path has " in one for one in errors(SOURCE + claim + RULES))


def test_event_source_without_a_readable_arn_gives_no_fault_of_its_rules() -> None:
    """Trap D3: no fault is only a consequence of another."""
    (error,) = errors(SOURCE.replace(f'"{QUEUE}"', "5") + RULES)
    assert error == 'event_source number 1: arn: 5 is not a string. Fix: write arn = "5", in quotes'


def test_only_the_first_of_very_many_unknown_sources_are_compared_with_all_queues() -> None:
    """Trap D9: each comparison takes up to a hundred milliseconds."""
    queues = "".join(SOURCE.replace('orders"', f'orders-{number}"', 1) for number in range(30))
    rule = '[[rule]]\nid = "r{0}"\nsource = "{1}x-{0}"\ntenant = "blue"\n'
    text = queues + "[tenants]\nblue = {}\n" + "".join(rule.format(number, QUEUE) for number in range(30))
    unknown = [one for one in errors(text) if "is not the arn of an [[event_source]]" in one]
    assert len(unknown) == 30
    assert sum("did you mean" in one for one in unknown) == 20


# ---- the map's own tests --------------------------------------------------------------------------------------------


def test_tests_of_records_are_read() -> None:
    test = f'[[test]]\nsource = "{QUEUE}"\nsender = {{ role_id = "AROADBQP57FF2AEXAMPLE", session = "i-1" }}\n'
    text = f'{SOURCE}{RULES}{test}claim = "blue"\nexpect = "blue"\n'
    (read,) = read_map(parse_document(text), Path()).tests
    assert (read.source, read.claim) == (QUEUE, "blue")
    assert read.sender is not None
    assert (read.sender.role_id, read.sender.session) == ("AROADBQP57FF2AEXAMPLE", "i-1")
