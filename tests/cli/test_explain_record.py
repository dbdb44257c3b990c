"""`explain`, `who` and `diff` for records of queues."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.config.settings import Settings
from lattice_bridge.review.document import UNKNOWN, UNREAD
from lattice_bridge.router import Router
from lattice_bridge.testing import sqs_event, sqs_record
from tests.support.commands import assert_harmless, read, seen, written
from tests.support.queue_maps import BLUE, ORDERS, QUEUES, SHOP

SENDER: Final = f"{SHOP}:i-1"
DESCRIBED: Final = ("--source", ORDERS, "--sender", SENDER)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return written(tmp_path / "map.toml", QUEUES)


def message(tenant: str | None = "blue", queue: str = ORDERS, **more: Any) -> dict[str, Any]:
    return sqs_record(queue=queue, sender=SENDER, attributes={} if tenant is None else {"tenant": tenant}, **more)


def explained(path: str, *arguments: str, stdin: str | None = None) -> dict[str, Any]:
    done = read("explain", "--map", path, "--json", *arguments, stdin=stdin)
    assert done.exit_code in (0, 1), done.output
    found: dict[str, Any] = {**json.loads(done.output), "exit_code": done.exit_code}
    return found


def logged(*records: dict[str, Any], text: str = QUEUES) -> str:
    """The log that the router writes for an event."""
    lines: list[str] = []
    settings = Settings.from_text(text.replace("quarantine = ", "# quarantine = "))
    router = Router(settings.tenant_map, lambda _: b"{}", sources=settings.options.event_sources, write=lines.append)
    router({"Records": list(records)}, None)
    return "".join(lines)


# ---- described records ----------------------------------------------------------------------------------------------


def test_record_that_is_described_is_explained(path: str) -> None:
    found = explained(path, *DESCRIBED, "--claim", "green")
    assert found.keys() == {*UNKNOWN, "exit_code"}
    assert found["record"].keys() == UNREAD.keys()
    assert (found["exit_code"], found["tenant"], found["chosen_by"], found["status"]) == (0, "green", "claim", None)
    assert found["sources"] == [{"key": f"sender {SHOP}", "rule": "shop", "allows": "blue, green, red"}]
    assert found["record"]["claim_from"] == "the attribute tenant"
    assert (found["record"]["outcome"], found["record"]["permanent"]) == ("invoked", None)


@pytest.mark.parametrize(
    ("arguments", "reason", "outcome", "fix"),
    [
        (DESCRIBED, "claim_missing", "quarantined", "the sender has to write the tenant into the attribute tenant; or"),
        ((*DESCRIBED, "--claim", "pink"), "tenant_not_allowed", "quarantined", "add the tenant to the rule; or"),
        (
            ("--source", ORDERS, "--sender", "AIDAEXAMPLEEXAMPLE123", "--claim", "blue"),
            *("no_rule", "quarantined", 'write a [[rule]] with sender = { user_id = "AIDAEXAMPLEEXAMPLE123" }, or a'),
        ),
        (("--source", f"{ORDERS}.fifo"), "source_not_configured", "reported", "write an [[event_source]] with arn = "),
        (("--source", "orders"), "source_not_configured", "reported", "write the source's ARN"),
    ],
)
def test_fault_says_what_to_write_instead(
    path: str, arguments: tuple[str, ...], reason: str, outcome: str, fix: str
) -> None:
    found = explained(path, *arguments)
    assert (found["exit_code"], found["reason"], found["record"]["outcome"]) == (1, reason, outcome)
    assert found["record"]["permanent"] is (outcome == "quarantined")
    assert found["record"]["fix"].startswith(fix)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ("--claim", "blue"),
            f"--claim needs the source of the record. Fix: add --source ARN, as in --source {ORDERS}",
        ),
        (
            (*DESCRIBED, "--header", "blue"),
            "--header is for a request, and a record has none. Fix: write --claim",
        ),
        (
            ("--source", BLUE, "--claim", "blue"),
            "--claim is never read: the [[event_source]] with this ARN has no claim",
        ),
        (
            ("--source", ORDERS, "--sender", "order-service"),
            '--sender: "order-service" is not the SenderId of a record. Fix:',
        ),
        (
            ("--source", ORDERS, "--sender", f"arn:aws:iam::111122223333:role/{'x' * 5000}\x1b[2J"),
            "is not the SenderId of",
        ),
    ],
)
def test_record_that_cannot_be_is_wrong_usage(path: str, arguments: tuple[str, ...], fault: str) -> None:
    done = read("explain", "--map", path, *arguments)
    assert done.exit_code == 2
    assert fault in done.output
    assert "\x1b" not in done.output
    assert len(done.output) < 1500


# ---- events ---------------------------------------------------------------------------------------------------------


def test_each_record_of_an_event_is_explained(path: str) -> None:
    event = sqs_event(message(), message(None), message(None, BLUE))
    found = explained(path, "-", stdin=json.dumps(event))
    assert [one["record"]["id"] for one in found["records"]] == [one["messageId"] for one in event["Records"]]
    assert [one["reason"] for one in found["records"]] == ["allowed", "claim_missing", "condition_failed"]
    assert found["exit_code"] == 1
    allowed = explained(path, "-", stdin=json.dumps(sqs_event(message())))
    assert (allowed["exit_code"], len(allowed["records"])) == (0, 1)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"Records": []}, "source_unsupported"),
        ({"Records": [{"eventSource": "aws:s3"}]}, "source_unsupported"),
        ({"Records": [{"eventSource": "aws:sqs"}]}, "malformed_event"),
    ],
)
def test_event_that_the_handler_raises_for_is_explained(path: str, event: object, reason: str) -> None:
    """Trap E5."""
    found = explained(path, "-", stdin=json.dumps(event))
    assert [(one["reason"], one["record"]["outcome"]) for one in found["records"]] == [(reason, "raised")]


@pytest.mark.parametrize("value", ["\x1b[2J", "a\nb", "\u202e", "x" * 100_000])
def test_record_of_a_stranger_cannot_act_on_the_terminal(path: str, value: str) -> None:
    """Trap E24: neither its ids nor its claim."""
    hostile = {**message(), "messageId": value, "eventSourceARN": f"{ORDERS}{value}"}
    claiming = message()
    claiming["messageAttributes"]["tenant"]["stringValue"] = value
    event = json.dumps({"Records": [hostile, claiming]})
    done = read("explain", "--map", path, "-", stdin=event)
    assert done.exit_code == 1
    assert_harmless(done.output)
    assert "Traceback" not in done.output


def test_message_is_never_shown(path: str) -> None:
    """Trap E24."""
    event = json.dumps(sqs_event(message(None, body="4111-card"), message("pink", body="4111-card")))
    for arguments in (("--json",), ()):
        assert "4111" not in read("explain", "--map", path, *arguments, "-", stdin=event).output


# ---- logs -----------------------------------------------------------------------------------------------------------


def test_line_of_a_record_is_explained_with_what_options_add(path: str) -> None:
    """A line of a refused record contains its sender, and not its claim."""
    log = logged(message("pink"), text=QUEUES)
    found = explained(path, "--log", "-", stdin=log)
    assert (found["missing"], found["record"]["sender"]) == (["record_claim"], SHOP)
    assert found["record"]["fix"] == "add --claim, with what the record asks for"
    assert (found["log"]["status"], found["log"]["reason"]) == ("failed", "tenant_not_allowed")
    whole = explained(path, "--log", "-", "--sender", SENDER, "--claim", "pink", stdin=log)
    assert (whole["missing"], whole["reason"]) == ([], "tenant_not_allowed")


def test_session_of_a_sender_is_missing_if_a_rule_is_for_one(path: str, tmp_path: Path) -> None:
    session = f"""
[[rule]]
id = "night"
sender = {{ role_id = "{SHOP}", session = "night" }}
session_set_by = "the role's trust policy"
tenant = "red"
"""
    other = written(tmp_path / "other.toml", QUEUES + session)
    assert explained(other, "--log", "-", stdin=logged(message("pink")))["missing"] == ["sender", "record_claim"]


def test_line_without_its_sender_needs_it(path: str) -> None:
    """Lines of an older bridge, and lines of a record that failed later, do not contain it."""
    log = logged(message("pink")).replace("callerKey", "other")
    assert explained(path, "--log", "-", stdin=log)["missing"] == ["sender", "record_claim"]


def test_record_is_chosen_by_its_message_id(path: str) -> None:
    first, second = message("pink"), message(None)
    log = logged(first, second)
    assert (
        explained(path, "--log", "-", "--request-id", second["messageId"], stdin=log)["log"]["reason"]
        == "claim_missing"
    )
    done = read("explain", "--map", path, "--log", "-", stdin=log)
    assert done.exit_code == 2
    assert f"--request-id: {second['messageId']}, {first['messageId']}" in done.output


def test_line_of_a_queue_that_the_map_lacks_needs_its_arn(path: str) -> None:
    log = logged(message(queue=f"{ORDERS}-old"))
    done = read("explain", "--map", path, "--log", "-", stdin=log)
    assert done.exit_code == 2
    assert (
        'the line\'s source is "orders-old", and no event source is of this name. Fix: add --source ARN' in done.output
    )


# ---- a terminal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_record_on_a_terminal_says_what_becomes_of_it(path: str, columns: int) -> None:
    text = seen("explain", "--map", path, *DESCRIBED, "--claim", "pink", columns=columns)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= columns
    for word in (
        "sender",
        "claim",
        "refused: tenant_not_allowed",
        "to allow it",
        "permanent fault: a copy is stored in",
    ):
        assert word in plain


# ---- who, diff ------------------------------------------------------------------------------------------------------


def test_who_lists_senders_and_sources(path: str) -> None:
    done = read("who", "blue", "--map", path, "--json")
    assert [(way["callers"], way["how"]) for way in json.loads(done.output)["ways"]] == [
        (f"sender {SHOP}", "if the claim chooses it, of blue, green, red"),
        (f"source {BLUE}", "always"),
    ]


def changes(tmp_path: Path, old: str, new: str, *arguments: str) -> list[tuple[str, ...]]:
    paths = [written(tmp_path / "old.toml", old), written(tmp_path / "new.toml", new)]
    done = read("diff", *paths, "--json", *arguments)
    return [tuple(change.values()) for change in json.loads(done.output)]


SESSION: Final = f"""
[[rule]]
id = "job"
sender = {{ role_id = "{SHOP}", session = "i-1" }}
session_set_by = "ec2"
source = "{ORDERS}"
tenant = "blue"
"""


def test_session_without_a_rule_of_its_own_gets_the_senders(tmp_path: Path) -> None:
    given = f"if source {ORDERS}"
    assert changes(tmp_path, QUEUES + SESSION, QUEUES) == [
        ("gains", f"sender {SHOP}, session i-1", f"blue {given}", f"blue, green, red {given}")
    ]


def test_event_source_that_is_added_or_removed_is_one_change(tmp_path: Path) -> None:
    fewer = QUEUES.replace(f'[[event_source]]\narn = "{BLUE}"\nfunction = "orders-worker:live"\n', "")
    fewer = fewer[: fewer.index('[[rule]]\nid = "blue-queue"')]
    rule = ("loses", f"source {BLUE}", "blue", "refused")
    source = ("loses", f"records of {BLUE}", "to orders-worker:live", "refused: no event source")
    assert changes(tmp_path, QUEUES, fewer) == [rule, source]
    other = QUEUES.replace("orders-quarantine", "parked")
    ((kind, place, _, after),) = changes(tmp_path, QUEUES, other)
    assert (kind, place, after) == (
        "changes",
        f"event_source {ORDERS}.quarantine",
        f'"{ORDERS.replace("orders", "parked")}"',
    )


def test_decisions_about_recorded_records_are_compared(tmp_path: Path) -> None:
    events = tmp_path / "events.json"
    events.write_text(json.dumps(sqs_event(message("green", message_id="m-1"), message(message_id="m-2"))))
    narrower = QUEUES.replace('["blue", "green", "red"]', '["blue", "red"]')
    assert changes(tmp_path, QUEUES, narrower, "--events", str(events)) == [
        ("loses", "record m-1 of orders", "green", "refused: tenant_not_allowed")
    ]
