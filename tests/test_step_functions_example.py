"""examples/step-functions: template, map and definitions fit together, and the function serves both state machines."""

from __future__ import annotations

import json
import re
import tomllib
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from lattice_bridge.config.settings import Settings
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.message import Caller, Sender
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.subject import Subject
from tests.support.cfn_lint import lint
from tests.support.modules import module
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "examples" / "step-functions"
TEMPLATE: Final = (FOLDER / "template.yaml").read_text(encoding="utf-8")
MAP: Final = (FOLDER / "bridge.toml").read_text(encoding="utf-8")
DEFINITIONS: Final = ("through-bridge", "native")


def test_strict_check_of_map_and_template_finds_nothing() -> None:
    arguments = ["check", str(FOLDER / "bridge.toml"), "--template", str(FOLDER / "template.yaml"), "--strict"]
    result = CliRunner().invoke(root, arguments)
    assert (result.exit_code, result.stdout.count("no errors, no warnings")) == (0, 2)


def test_cfn_lint_accepts_the_template() -> None:
    assert lint(TEMPLATE) == []


@pytest.mark.parametrize("name", DEFINITIONS)
def test_cfn_lint_accepts_the_definition(name: str) -> None:
    """A definition in a file is not read by cfn-lint, so it is put into a template."""
    properties = {
        "DefinitionString": (FOLDER / f"{name}.asl.json").read_text(encoding="utf-8"),
        "DefinitionSubstitutions": {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/q", "Orders": "a"},
        "RoleArn": "arn:aws:iam::123456789012:role/steps",
    }
    resources = {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}
    found = lint(json.dumps({"Resources": resources}))
    assert [str(one) for one in found if one.rule.id.startswith("E")] == []


def test_native_definition_without_its_choice_is_a_warning() -> None:
    """Trap E27: the example's Choice is what keeps `check` quiet."""
    native = json.loads((FOLDER / "native.asl.json").read_text(encoding="utf-8"))
    native["States"]["Order"]["Next"] = "Done"
    text = re.sub(r"DefinitionUri: native\.asl\.json", f"Definition: {json.dumps(native)}", TEMPLATE)
    found = template_findings(FOLDER / "template.yaml", Settings.from_text(MAP).options, {}, "us-east-1", text=text)
    assert [(one.level, one.subject) for one in found] == [("warning", "Native")]
    assert "no Choice after it reads FunctionError" in found[0].actual


def test_definition_that_is_not_verified_is_marked() -> None:
    native = json.loads((FOLDER / "native.asl.json").read_text(encoding="utf-8"))
    assert native["Comment"].startswith("NOT VERIFIED ON AWS")
    assert "NOT VERIFIED ON AWS" in TEMPLATE.partition("  Native:\n")[0].rpartition("# ----")[2]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_tenant_is_that_of_the_start_and_not_of_a_state(name: str) -> None:
    """Trap E2: a state can rewrite its input, and none can rewrite that of the execution."""
    text = (FOLDER / f"{name}.asl.json").read_text(encoding="utf-8")
    assert re.findall(r"[\w.$]+\.tenant\b", text) == ["$states.context.Execution.Input.tenant"]


def test_task_waits_longer_than_all_receives_of_its_message() -> None:
    task = json.loads((FOLDER / "through-bridge.asl.json").read_text(encoding="utf-8"))["States"]["Order"]
    visibility = re.search(r"VisibilityTimeout: (\d+)", TEMPLATE)
    receives = re.search(r"maxReceiveCount: (\d+)", TEMPLATE)
    assert visibility is not None
    assert receives is not None
    assert task["TimeoutSeconds"] > int(visibility[1]) * int(receives[1])


@pytest.mark.parametrize("case", tomllib.loads(MAP)["test"], ids=lambda case: case["expect"])
def test_rules_decide_as_the_tests_of_the_map_expect(case: dict[str, Any]) -> None:
    sender = Sender(case["sender"]["role_id"], case["sender"]["session"])
    subject = Subject(Caller(), {}, case.get("claim"), source=case["source"], sender=sender)
    decision = decide(subject, Settings.from_text(MAP).tenant_map.rules)
    found = decision.tenant if decision.allowed else f"refused: {decision.reason}"
    assert found == case["expect"]


# ---- the function ---------------------------------------------------------------------------------------------------


class Steps:
    """Step Functions, of which one task waits. Keeps the answers."""

    class exceptions:  # noqa: N801 - a client of boto3 has this name
        class TaskTimedOut(Exception):
            pass

        class TaskDoesNotExist(Exception):
            pass

    def __init__(self, *, waits: bool = True) -> None:
        self.waits = waits
        self.answers: list[tuple[str, str]] = []

    def send_task_success(self, *, taskToken: str, output: str) -> None:  # noqa: N803 - boto3's argument
        if not self.waits:
            raise self.exceptions.TaskTimedOut
        self.answers.append((taskToken, output))


def app() -> ModuleType:
    return module(FOLDER / "src" / "orders" / "app.py")


def record(quantity: int, **more: str) -> dict[str, Any]:
    return {"Records": [{"messageId": "1", "body": json.dumps({"order": {"quantity": quantity}, **more})}]}


BLUE: Final = SimpleNamespace(tenant_id="blue")


def test_record_is_answered_with_its_token_and_done() -> None:
    steps = Steps()
    assert app().handler(record(2, token="t-1"), BLUE, steps) == {}
    assert steps.answers == [("t-1", '{"tenant": "blue", "booked": 2}')]


def test_record_without_a_token_is_done() -> None:
    steps = Steps()
    assert app().handler(record(2), BLUE, steps) == {}
    assert steps.answers == []


def test_task_that_no_longer_waits_is_done() -> None:
    """A record that is reported would come again, and each time for a task that has ended."""
    assert app().handler(record(2, token="t-1"), BLUE, Steps(waits=False)) == {}


def test_native_invocation_returns_its_answer() -> None:
    assert app().handler({"quantity": 2}, BLUE) == {"tenant": "blue", "booked": 2}


@pytest.mark.parametrize("event", [record(0, token="t-1"), {"quantity": 0}])
def test_faulty_order_raises_and_answers_nothing(event: dict[str, Any]) -> None:
    steps = Steps()
    with pytest.raises(ValueError, match="at least one piece"):
        app().handler(event, BLUE, steps)
    assert steps.answers == []
