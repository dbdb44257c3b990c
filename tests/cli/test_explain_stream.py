"""`explain` and `diff --events` for records of streams and tables, events of buses, and lists of pipes."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.config.settings import Settings
from lattice_bridge.errors import BridgeError
from lattice_bridge.events.aggregate import MOST_PARTS
from lattice_bridge.router import Router
from lattice_bridge.testing import (
    dynamodb_event,
    dynamodb_record,
    eventbridge_event,
    kinesis_event,
    kinesis_record,
    pipe_event,
)
from tests.support.commands import assert_harmless, read, seen, written
from tests.support.stream_maps import CARTS, CLICKS, CLICKS_SOURCE, MAP, PIPED, QUARANTINE, RULES, SHOP, TENANTS


@pytest.fixture
def path(tmp_path: Path) -> str:
    return written(tmp_path / "map.toml", MAP)


def explained(path: str, *arguments: str, stdin: str | None = None) -> Any:
    done = read("explain", "--map", path, "--json", *arguments, stdin=stdin)
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.output)


def of_event(path: str, event: object) -> list[tuple[Any, ...]]:
    found = explained(path, "-", stdin=json.dumps(event))["records"]
    return [(one["tenant"], one["reason"], one["record"]["outcome"]) for one in found]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            kinesis_event(kinesis_record(partition_key="blue"), kinesis_record(partition_key="pink")),
            [("blue", "allowed", "invoked"), (None, "tenant_not_allowed", "quarantined")],
        ),
        (
            kinesis_event(kinesis_record(aggregated=[("blue", "1"), ("green", "2"), ("old", "3")])),
            [
                ("blue", "allowed", "invoked"),
                ("green", "allowed", "invoked"),
                (None, "tenant_suspended", "quarantined"),
            ],
        ),
        (
            dynamodb_event(dynamodb_record(table="carts", new={"owner": "green"}, old={"owner": "blue"})),
            [(None, "images_differ", "reported")],
        ),
        (dynamodb_event(dynamodb_record(table="carts", new={"owner": "blue"})), [("blue", "allowed", "invoked")]),
        (eventbridge_event({"tenant": "blue"}), [("blue", "allowed", "invoked")]),
        (eventbridge_event({"tenant": "blue"}, source="aws.events"), [(None, "no_rule", "reported")]),
        (eventbridge_event({"tenant": "blue"}, account="444455556666"), [(None, "no_rule", "reported")]),
        (pipe_event(kinesis_event("{}", partition_key="blue", stream="piped")), [("blue", "allowed", "invoked")]),
        (pipe_event(kinesis_event("{}", partition_key="blue")), [(None, "source_not_configured", "reported")]),
        (
            pipe_event(kinesis_event("{}", "{}", partition_key="blue", stream="piped")),
            [(None, "source_unsupported", "reported")] * 2,
        ),
    ],
)
def test_each_record_of_an_event_is_explained(path: str, event: object, expected: list[tuple[Any, ...]]) -> None:
    """Traps E1, E3, E18, E19."""
    assert of_event(path, event) == expected


@pytest.mark.parametrize(
    ("arguments", "tenant", "reason"),
    [
        (("--source", CLICKS, "--claim", "blue"), "blue", "allowed"),
        (("--source", CARTS, "--claim", "pink"), None, "tenant_not_allowed"),
        (("--source", SHOP, "--claim", "blue", "--event-account", "111122223333"), "blue", "allowed"),
        (("--source", SHOP, "--claim", "blue"), None, "no_rule"),
        (
            ("--source", SHOP, "--claim", "blue", "--event-account", "111122223333", "--bus-source", "aws.s3"),
            *(None, "no_rule"),
        ),
        (("--source", SHOP, "--event-account", "111122223333", "--detail-type", "x"), None, "claim_missing"),
    ],
)
def test_record_that_is_described_is_explained(path: str, arguments: tuple[str, ...], tenant: Any, reason: str) -> None:
    found = explained(path, *arguments)
    assert (found["tenant"], found["reason"]) == (tenant, reason)


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (("--source", CLICKS), "the sender has to write the tenant into the partition key; or remove claim"),
        (("--source", CARTS), "the sender has to write the tenant into the attribute owner of the images; or"),
        (("--source", SHOP), "the sender has to write the tenant into the member tenant of the detail; or"),
        (
            ("--source", SHOP, "--claim", "blue", "--event-account", "444455556666"),
            f'write a [[rule]] with event_account = "444455556666", or a [[rule]] with source = "{SHOP}"',
        ),
        (
            ("--source", SHOP, "--claim", "blue", "--event-account", "111122223333", "--bus-source", "aws.s3"),
            'write a [[rule]] with event_account = "111122223333" and bus_source = "aws.s3", or a [[rule]] with so',
        ),
        (("--source", f"{CARTS}/stream/2026-01-01T00:00:00.000"), "write an [[event_source]] with arn = "),
    ],
)
def test_fault_says_what_to_write_instead(path: str, arguments: tuple[str, ...], fix: str) -> None:
    assert explained(path, *arguments)["record"]["fix"].startswith(fix)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ("--source", CLICKS, "--sender", "AROAEXAMPLEEXAMPLE123:i-1"),
            "--sender is for a record of an SQS queue, and --source is a Kinesis stream. Fix: leave it out",
        ),
        (
            ("--source", CLICKS, "--bus-source", "shop"),
            "--bus-source is for a record of an event bus, and --source is a Kinesis stream. Fix: leave it out",
        ),
        (("--event-account", "111122223333"), "--event-account needs the source of the record. Fix: add --source ARN"),
        (
            ("--source", SHOP, "--event-account", "acme\x1b[2J"),
            '--event-account: "acme\\u001b[2J" is not an account. Fix: write its 12 digits',
        ),
    ],
)
def test_record_that_cannot_be_is_wrong_usage(path: str, arguments: tuple[str, ...], fault: str) -> None:
    done = read("explain", "--map", path, *arguments)
    assert done.exit_code == 2
    assert fault in done.output


def test_screen_shows_what_each_service_has(path: str, tmp_path: Path) -> None:
    events: list[tuple[Any, tuple[str, ...]]] = [
        (
            kinesis_event("{}", partition_key="pink"),
            ("partition key", f"is stored in {QUARANTINE}, and Lambda goes on"),
        ),
        (dynamodb_event(dynamodb_record(table="carts", new={})), ("item", "as often as the mapping is configured to")),
        (eventbridge_event({}), ("account", "111122223333", "detail type", "the OnFailure destination of the router")),
        (pipe_event(kinesis_event("{}", partition_key="a", stream="piped")), ("and the pipe drops the record",)),
    ]
    for number, (event, texts) in enumerate(events):
        file = written(tmp_path / f"{number}.json", json.dumps(event))
        screen = " ".join(seen("explain", "--map", path, file, NO_COLOR="1").split())
        assert "sender" not in screen.replace("the sender has to write", "")
        for text in texts:
            assert text in screen


def test_content_of_a_record_is_not_shown(path: str) -> None:
    """Trap E24."""
    for event in (
        kinesis_event("4111-card", partition_key="blue"),
        dynamodb_event(dynamodb_record(table="carts", new={"owner": "blue", "card": "4111-card"})),
        eventbridge_event({"tenant": "blue", "card": "4111-card"}),
    ):
        for arguments in ((), ("--json",)):
            assert "4111" not in read("explain", "--map", path, *arguments, "-", stdin=json.dumps(event)).output


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    """An event with an aggregate that fills a batch, and a record behind it."""
    whole = kinesis_record(aggregated=[("pink", "")] * (MOST_PARTS - 1) + [("blue", "")])
    return kinesis_event(whole, kinesis_record(partition_key="blue"))


def test_record_behind_a_full_aggregate_is_explained_too(path: str, full: dict[str, Any]) -> None:
    """Trap E22: it is reported, and comes again in the next batch."""
    found = of_event(path, full)
    assert found[-2:] == [("blue", "allowed", "invoked"), (None, "no_time_left", "reported")]
    assert len(found) == MOST_PARTS + 1


def test_terminal_shows_a_few_records_of_a_full_aggregate(path: str, full: dict[str, Any], tmp_path: Path) -> None:
    shown = seen("explain", "--map", path, written(tmp_path / "event.json", json.dumps(full)))
    assert shown.count("tenant_not_allowed") == 20
    assert "and 9981 more records, 9980 of them refused: --json lists all" in shown


def test_aggregate_with_too_many_records_is_one_permanent_fault(path: str) -> None:
    event = kinesis_event(kinesis_record(aggregated=[("blue", "")] * (MOST_PARTS + 1)))
    (found,) = explained(path, "-", stdin=json.dumps(event))["records"]
    assert (found["reason"], found["record"]["outcome"]) == ("aggregate_unreadable", "quarantined")
    assert found["detail"].endswith("it contains 10,001 records, and must contain 1 to 10,000")


def test_hostile_event_is_harmless(path: str) -> None:
    event = eventbridge_event({"tenant": "\x1b[2J"}, source="\x1b[2J", detail_type="\x1b[2J", event_id="\x1b[2J")
    assert_harmless(read("explain", "--map", path, "-", stdin=json.dumps(event)).output)


# ---- diff -----------------------------------------------------------------------------------------------------------


def changes(tmp_path: Path, old: str, new: str, *events: object) -> list[tuple[str, ...]]:
    maps = [written(tmp_path / f"{name}.toml", text) for name, text in (("old", old), ("new", new))]
    file = written(tmp_path / "events.jsonl", "\n".join(map(json.dumps, events)))
    done = read("diff", *maps, "--events", file, "--json")
    assert done.exit_code in (0, 1), done.output
    return [(one["kind"], one["subject"], one["before"], one["after"]) for one in json.loads(done.output)]


def test_records_are_read_as_each_map_reads_them(tmp_path: Path) -> None:
    """Trap E18: only the new map splits aggregates, so each record in one is compared with the whole of it."""
    aggregated = kinesis_record(aggregated=[("blue", "1"), ("pink", "2")], sequence_number="8")
    event = kinesis_event(kinesis_record(partition_key="blue", sequence_number="7"), aggregated)
    old = CLICKS_SOURCE + TENANTS + RULES.partition('[[rule]]\nid = "carts"')[0]
    assert changes(tmp_path, old, old.replace("quarantine", "deaggregate = true\nquarantine"), event) == [
        ("gains", "record 8:0 of clicks", "refused: aggregated", "blue"),
        ("changes", "record 8:1 of clicks", "refused: aggregated", "refused: tenant_not_allowed"),
    ]


def test_full_aggregate_that_one_map_splits_is_compared(tmp_path: Path, full: dict[str, Any]) -> None:
    """The map that splits it begins no record behind it in this batch."""
    old = CLICKS_SOURCE + TENANTS + RULES.partition('[[rule]]\nid = "carts"')[0]
    found = changes(tmp_path, old, old.replace("quarantine", "deaggregate = true\nquarantine"), full)
    assert len(found) == MOST_PARTS
    assert found[-1][0] == "gains"


def test_event_is_of_the_bus_of_each_map(tmp_path: Path) -> None:
    """An event does not name its bus, so a map without one has no event source for it."""
    event, more = eventbridge_event({"tenant": "blue"}, event_id="e-1"), 'id = "shop"\nevent_account = "111122223333"\n'
    without = MAP.replace(SHOP, f"{SHOP}-other").replace(
        more, f'id = "shop"\nsource = "{SHOP}-other"\naccept_risk = "x"\n'
    )
    assert changes(tmp_path, MAP, without, event) == []
    assert changes(tmp_path, CLICKS_SOURCE + TENANTS + RULES.partition('[[rule]]\nid = "carts"')[0], MAP, event) == [
        ("gains", "event e-1", "refused: source_not_configured", "blue")
    ]


def test_list_of_a_pipe_on_several_lines_is_one_event(tmp_path: Path) -> None:
    made = pipe_event(kinesis_event("{}", partition_key="blue", stream=PIPED))
    file = written(tmp_path / "one.json", json.dumps(made, indent=2))
    path = written(tmp_path / "map.toml", MAP)
    other = written(tmp_path / "other.toml", MAP.replace('pipe = "enrichment"', "timeout = 5"))
    done = read("diff", path, other, "--events", file)
    assert "refused: source_not_configured" in done.output


# ---- from a log -----------------------------------------------------------------------------------------------------


def logged(event: Any) -> str:
    lines: list[str] = []
    settings = Settings.from_text(MAP.replace(f'quarantine = "{QUARANTINE}"', 'on_poison = "block"'))
    router = Router(settings.tenant_map, lambda _: b"{}", sources=settings.options.event_sources, write=lines.append)
    with suppress(BridgeError):
        router(event, None)
    return "".join(lines)


def test_line_of_a_record_of_a_stream_is_explained(path: str) -> None:
    log = logged(kinesis_event("{}", partition_key="pink"))
    found = explained(path, "--log", "-", "--claim", "pink", stdin=log)
    assert (found["record"]["source"], found["reason"], found["missing"]) == (CLICKS, "tenant_not_allowed", [])


def test_line_of_an_event_of_a_bus_lacks_its_origin(path: str) -> None:
    log = logged(eventbridge_event({"tenant": "pink"}, event_id="e-1"))
    found = explained(path, "--log", "-", "--claim", "pink", stdin=log)
    assert (found["missing"], found["record"]["event_account"]) == (["bus_source", "detail_type"], "111122223333")
    more = ("--event-account", "111122223333", "--bus-source", "shop.orders", "--detail-type", "Order Placed")
    found = explained(path, "--log", "-", "--claim", "pink", *more, stdin=log)
    assert (found["record"]["id"], found["reason"], found["missing"]) == ("e-1", "tenant_not_allowed", [])
