"""Definitions of state machines: which tasks notice that their function failed, and definitions that are hostile."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from lattice_bridge.deployment.checks.state_machines import definition_of, tasks_of
from lattice_bridge.deployment.cloudformation.template import Resource

FAILED: Final = {
    "Type": "Choice",
    "Default": "Done",
    "Choices": [{"Condition": "{% $exists($states.input.FunctionError) %}", "Next": "Fail"}],
}
BY_PATH: Final = {**FAILED, "Choices": [{"Variable": "$.result.FunctionError", "IsPresent": True, "Next": "Fail"}]}
BY_SQS: Final = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Next": "C"}
COMMENT: Final = {"Type": "Choice", "Comment": "FunctionError", "Choices": [{"Comment": "FunctionError"}]}
RENAMED: Final = {**FAILED, "Choices": [{"Condition": "{% $failed %}", "Next": "Fail"}]}


def run(**more: Any) -> dict[str, Any]:
    """A task by the SDK, and what differs."""
    arguments = {"FunctionName": "orders", "TenantId": "blue", **more.pop("arguments", {})}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:lambda:invoke",
        "Arguments": arguments,
        "Next": "Check",
        **more,
    }


LAST: Final = run(Next=None, End=True)


def unnoticed(states: dict[str, Any]) -> list[str]:
    return [task.name for task in tasks_of({"States": states}) if task.counts_failure_as_success]


@pytest.mark.parametrize(
    "states",
    [
        {"Run": run(), "Check": FAILED},
        {"Run": run(ResultPath="$.result"), "Check": BY_PATH},
        {"Run": run(ResultPath="$.result", OutputPath="$.result"), "Check": FAILED},
        {"Run": run(Output={"answer": "{% $states.result %}"}), "Check": FAILED},
        {"Run": run(Output="{% $merge([$states.input, $states.result]) %}"), "Check": FAILED},
        {"Run": run(Assign={"failed": "{% $exists($states.result.FunctionError) %}"}), "Check": RENAMED},
        {"Run": run(ResultSelector={"failed.$": "$.FunctionError"}), "Check": RENAMED},
        {"Run": run(Output="{% $states.result.FunctionError ? $error('failed') : $states.result.Payload %}")},
        {"Run": run(), "Check": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Wait", "Next": "C"}, "C": FAILED},
        {"Run": run(arguments={"InvocationType": "Event"})},
        {"Run": run(Resource="arn:aws:states:::aws-sdk:lambda:invoke.waitForTaskToken")},
        {"Run": run(Resource="arn:aws:states:::lambda:invoke")},
        {"Run": run(Resource="arn:aws:lambda:us-east-1:123456789012:function:orders")},
        {"All": {"Type": "Map", "Next": "Check", "ItemProcessor": {"States": {"Run": LAST}}}, "Check": FAILED},
        {"All": {"Type": "Map", "Next": "Check", "Iterator": {"States": {"Run": LAST}}}, "Check": FAILED},
        {"All": {"Type": "Parallel", "Next": "Check", "Branches": [{"States": {"Run": run(), "Check": FAILED}}]}},
    ],
    ids=lambda states: json.dumps(states)[:60],
)  # fmt: skip
def test_failure_is_noticed(states: dict[str, Any]) -> None:
    assert unnoticed(states) == []


@pytest.mark.parametrize(
    "states",
    [
        {"Run": LAST},
        {"Run": run(), "Check": {"Type": "Succeed"}},
        {"Run": run(), "Check": COMMENT},
        {"Run": run(), "Check": {**FAILED, "Choices": [{"Condition": "{% $states.input.FunctionErrors %}"}]}},
        {"Run": run(), "Check": RENAMED},
        {"Run": run(Output="{% $states.result.Payload %}"), "Check": FAILED},
        {"Run": run(Output="{% $parse($states.result.Payload) %}"), "Check": FAILED},
        {"Run": run(OutputPath="$.Payload"), "Check": FAILED},
        {"Run": run(OutputPath=None), "Check": FAILED},
        {"Run": run(ResultPath=None), "Check": FAILED},
        {"Run": run(ResultSelector={"answer.$": "$.Payload"}), "Check": FAILED},
        {"Run": run(Assign={"failed": "{% $exists($states.result.FunctionError) %}"}), "Check": {"Type": "Succeed"}},
        {"Run": run(), "Check": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Wait", "Next": "Check"}},
        {"Run": run(), "Check": BY_SQS, "C": FAILED},
        {"Check": {**FAILED, "Default": "Run"}, "Run": run(Next="Done"), "Done": {"Type": "Succeed"}},
        {"All": {"Type": "Map", "ItemProcessor": {"States": {"Run": LAST, "Check": FAILED}}}, "Check": FAILED},
        {"Run": run(Next=["Check"]), "Check": FAILED},
    ],
    ids=lambda states: json.dumps(states)[:60],
)  # fmt: skip
def test_failure_counts_as_success(states: dict[str, Any]) -> None:
    """Trap E27: no check, one that comes too early or too late, and one of a result that no longer has the error."""
    assert unnoticed(states) == ["Run"]


# ---- hostile definitions --------------------------------------------------------------------------------------------


def machine(**properties: Any) -> Resource:
    return Resource("Machine", "AWS::StepFunctions::StateMachine", "", properties)


def nested(levels: int) -> str:
    """Maps in each other, with a task in the innermost. Each has three levels of JSON."""
    text = json.dumps({"States": {"Run": run()}})
    for _ in range(levels):
        text = f'{{"States": {{"M": {{"Type": "Map", "ItemProcessor": {text}}}}}}}'
    return text


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"DefinitionString": ""},
        {"DefinitionString": "StartAt: Run"},
        {"DefinitionString": "[" * 100_000},
        {"DefinitionString": '{"a":' * 5_000 + "1" + "}" * 5_000},
        {"DefinitionString": nested(70)},
        {"DefinitionString": json.dumps({"a": "x" * 1_048_576})},
        {"DefinitionString": '{"a": "' + "${A}" * 1_000 + '"}', "DefinitionSubstitutions": {"A": "x" * 2_000}},
        {"DefinitionString": "null"},
        {"Definition": "an import"},
    ],
    ids=lambda properties: str(properties)[:40],
)
def test_definition_that_step_functions_refuses_is_not_read(properties: dict[str, Any]) -> None:
    assert definition_of(machine(**properties)) is None


def test_deep_definition_is_read_to_its_end() -> None:
    definition = definition_of(machine(DefinitionString=nested(40)))
    assert definition is not None
    assert [task.name for task in tasks_of(definition)] == ["Run"]


def test_chain_of_many_states_is_followed_once() -> None:
    """Each of 3,000 tasks leads to the same 3,000 states: their follower is found once."""
    chain = {f"P{number}": {"Type": "Pass", "Next": f"P{number + 1}"} for number in range(3_000)}
    tasks = {f"T{number}": run(Next="P0") for number in range(3_000)}
    assert unnoticed({**tasks, **chain, "P3000": FAILED}) == []


@pytest.mark.parametrize(
    "definition",
    [
        {"States": []},
        {"States": {"A": [], "B": None, "C": "x"}},
        {"States": {"A": {"Type": "Task"}, "B": {"Type": "Task", "Resource": 1}}},
        {"States": {"A": {"Type": "Parallel", "Branches": {"a": 1}}, "B": {"Type": "Map", "ItemProcessor": []}}},
    ],
)
def test_definition_of_another_shape_has_no_tasks(definition: dict[str, Any]) -> None:
    assert tasks_of(definition) == []


@pytest.mark.parametrize("arguments", [None, [], 1, "{% $states.input %}", {"FunctionName": None}])
def test_arguments_of_another_shape_name_no_function(arguments: Any) -> None:
    (task,) = tasks_of({"States": {"A": run(Arguments=arguments)}})
    assert (task.function, task.tenant) == ("", "")
