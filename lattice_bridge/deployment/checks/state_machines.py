"""A state machine of Step Functions → its tasks that invoke functions, and whether each notices that its function
failed.

Rule: a definition is read as a whole, with its substitutions and every nested state, or not at all. Both query
languages are read: JSONata (`Arguments`, `Output`) and JSONPath (`Parameters`, `ResultPath`).

Sources: the Amazon States Language specification; the Step Functions guide, "Invoke an AWS Lambda function with Step
Functions" and "Learning to use AWS service SDK integrations".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from lattice_bridge.deployment.checks.stack import entries_of
from lattice_bridge.deployment.cloudformation.template import Resource
from lattice_bridge.deployment.cloudformation.values import as_text

STATE_MACHINE: Final = "AWS::StepFunctions::StateMachine"

# ---- definitions ----------------------------------------------------------------------------------------------------

_MOST_CHARACTERS: Final = 1_048_576
"""The largest definition that Step Functions accepts."""
_MOST_LEVELS: Final = 200
"""Of JSON. Each Map or Parallel in another one has three or four."""
_SUBSTITUTED: Final = re.compile(r"\$\{([^{}]*)\}")


def definition_of(machine: Resource) -> Mapping[str, Any] | None:
    """The definition of a state machine, with substitutions filled in; None if it is not in the template, is no JSON
    object, or is larger or deeper than a definition that Step Functions accepts."""
    properties = machine.properties
    with suppress(ValueError, RecursionError):
        own = properties.get("Definition")
        text = as_text(properties.get("DefinitionString", "")) if own is None else json.dumps(own, default=as_text)
        found = json.loads(_filled(text, properties.get("DefinitionSubstitutions")), strict=False)
        if isinstance(found, dict) and not _is_deep(found):
            return found
    return None


def _filled(text: str, written: object) -> str:
    """A text with its substitutions, as CloudFormation makes it before Step Functions parses it.

    Raises:
        ValueError: it is too long.
    """
    substitutions = {key: as_text(value) for key, value in written.items()} if isinstance(written, dict) else {}
    added = sum(len(substitutions.get(name, "")) for name in _SUBSTITUTED.findall(text))
    if len(text) + added > _MOST_CHARACTERS:
        raise ValueError("too long")
    return _SUBSTITUTED.sub(lambda found: substitutions.get(found[1], found[0]), text)


def _is_deep(value: Any) -> bool:
    left = [(value, 1)]
    while left:
        one, level = left.pop()
        if isinstance(one, dict | list):
            if level > _MOST_LEVELS:
                return True
            left += [(each, level + 1) for each in (one.values() if isinstance(one, dict) else one)]
    return False


# ---- tasks ----------------------------------------------------------------------------------------------------------

Integration = Literal["sdk", "optimized", "arn"]
_INVOKE: Final = re.compile(
    r"arn:[^:]*:states:[^:]*:[^:]*:(?P<sdk>aws-sdk:)?lambda:invoke(?:Async)?(?P<token>\.waitForTaskToken)?"
)
_ARN: Final = re.compile(r"arn:[^:]*:lambda:.*", re.DOTALL)
_ERROR: Final = re.compile(r"\bFunctionError\b")
_WHOLE_RESULT: Final = re.compile(r"\$states\.result(?![\w.\[])")
_NO_ANSWER: Final = ("Event", "DryRun")
"""Types of invocations whose answer contains no FunctionError."""


@dataclass(frozen=True, slots=True)
class Task:
    """A state that invokes a function.

    Attributes:
        name: of the state.
        state: as written.
        follower: the first state after it that is no Pass and no Wait, in its own branch or after the branches; None
            if the execution ends before one.
    """

    name: str
    state: Mapping[str, Any]
    follower: Mapping[str, Any] | None

    @property
    def integration(self) -> Integration:
        """How it invokes the function: by AWS's SDK, by the integration of Step Functions' own, or by the function's
        ARN as its resource."""
        found = _INVOKE.fullmatch(as_text(self.state.get("Resource", "")))
        return "arn" if found is None else "sdk" if found["sdk"] else "optimized"

    @property
    def function(self) -> str:
        """The text that names the function. Arguments that are one expression count as a whole."""
        if self.integration == "arn":
            return as_text(self.state["Resource"])
        return self._argument("FunctionName")

    @property
    def tenant(self) -> str:
        """The tenant id, or the expression that gives it; empty if it sends none."""
        return self._argument("TenantId") if self.integration == "sdk" else ""

    def _argument(self, key: str) -> str:
        arguments = self.state.get("Arguments", self.state.get("Parameters"))
        if isinstance(arguments, str):
            return arguments if key in arguments else ""
        if not isinstance(arguments, Mapping):
            return ""
        value = arguments.get(key, arguments.get(f"{key}.$"))
        return "" if value is None else as_text(value)

    @property
    def counts_failure_as_success(self) -> bool:
        """Whether it succeeds if its function fails, and nothing after it reads FunctionError."""
        found = _INVOKE.fullmatch(as_text(self.state.get("Resource", "")))
        if found is None or not found["sdk"] or found["token"]:
            return False
        return self._argument("InvocationType") not in _NO_ANSWER and not self._notices_failure()

    def _notices_failure(self) -> bool:
        follower = self.follower or {}
        is_choice = follower.get("Type") == "Choice"
        own = [text for key in ("Output", "Assign", "ResultSelector") for text in _texts(self.state.get(key))]
        if any(map(_ERROR.search, own)):  # kept under another name, or raised at once
            return is_choice or any("$error(" in text for text in own)
        return is_choice and not self._drops_error() and any(map(_ERROR.search, _texts(follower.get("Choices"))))

    def _drops_error(self) -> bool:
        """Whether its output is only a part of the answer, which has no FunctionError."""
        state = self.state
        if "Output" in state:
            return not any(map(_WHOLE_RESULT.search, _texts(state["Output"])))
        path = state.get("OutputPath", "$")
        is_dropped = "ResultPath" in state and state["ResultPath"] is None
        return is_dropped or "ResultSelector" in state or path is None or "Payload" in as_text(path)


def _texts(value: Any) -> list[str]:
    """The texts in a value, without comments."""
    found = [("", value), *entries_of(value)]
    return [text for key, text in found if isinstance(text, str) and key != "Comment"]


def tasks_of(definition: Mapping[str, Any]) -> list[Task]:
    """The tasks of a definition that invoke a function, those in a Parallel and in a Map too."""
    return [task for task in _tasks(definition, None) if _is_invocation(task.state)]


def _is_invocation(state: Mapping[str, Any]) -> bool:
    resource = as_text(state.get("Resource", ""))
    return _INVOKE.fullmatch(resource) is not None or _ARN.fullmatch(resource) is not None


def _tasks(machine: Any, end: Mapping[str, Any] | None) -> Iterator[Task]:
    """The tasks of a machine, of a branch or of an item processor.

    Args:
        machine: with `States`.
        end: what follows when it ends.
    """
    written = machine.get("States") if isinstance(machine, Mapping) else None
    states = {name: one for name, one in written.items() if isinstance(one, dict)} if isinstance(written, dict) else {}
    known: dict[str, Mapping[str, Any] | None] = {}
    for name, state in states.items():
        follower = _follower(state.get("Next"), states, end, known)
        if state.get("Type") == "Task":
            yield Task(name, state, follower)
        branches = state.get("Branches")
        nested = [*(branches if isinstance(branches, list) else []), state.get("ItemProcessor"), state.get("Iterator")]
        for one in nested:
            yield from _tasks(one, follower)


def _follower(
    name: Any,
    states: Mapping[str, Mapping[str, Any]],
    end: Mapping[str, Any] | None,
    known: dict[str, Mapping[str, Any] | None],
) -> Mapping[str, Any] | None:
    """The first state from `name` on that is no Pass and no Wait. `known` keeps it, also for those on the way."""
    way: list[str] = []
    found = end
    while isinstance(name, str) and name in states:
        if name in known:
            found = known[name]
            break
        if states[name].get("Type") not in ("Pass", "Wait"):
            found = states[name]
            break
        known[name] = None  # a loop of them leads to no other state
        way.append(name)
        name = states[name].get("Next")
    known.update(dict.fromkeys(way, found))
    return found
