"""Targets of EventBridge's rules: where an event goes, in which form, and how often its delivery is tried.

Rule: values only, as PutTargets and AWS::Events::Rule write them. A value that AWS refuses is no target.
Source: the API reference of PutTargets, "Transforming Amazon EventBridge target input", and what LocalStack's tests
recorded on AWS: how the template's placeholders are replaced in strings and outside of them, and that a result that is
not JSON is not delivered. Not recorded, and assumed here: a path without a value is `{}` as InputPath; a string in a
string of the template is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MOST_RETRIES: Final = 185
LONGEST_AGE: Final = 86_400
_SHORTEST_AGE: Final = 60
_FORMS: Final = ("Input", "InputPath", "InputTransformer")
_STEP: Final = re.compile(r"\.([\w-]+)|\[([0-9]{1,6}|\*)\]|\['([^'\]]{1,256})'\]")
_PLACEHOLDER: Final = re.compile(r"<([\w.-]+)>")
_VARIABLES: Final = (
    "aws.events.event",
    "aws.events.event.ingestion-time",
    "aws.events.event.json",
    "aws.events.rule-arn",
    "aws.events.rule-name",
)
_NOTHING: Final = object()


class BadTarget(ValueError):
    """A target that AWS refuses."""


class NotJson(ValueError):
    """The input that a template makes of an event is not JSON."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a template may contain beside parts of the event.

    Attributes:
        rule_arn, rule_name: of the rule.
        ingested: when the bus received the event, as in `2026-11-30T10:00:00Z`.
    """

    rule_arn: str
    rule_name: str
    ingested: str


@dataclass(frozen=True, slots=True)
class Target:
    """A target of a rule.

    Attributes:
        id: in the rule.
        arn: of the function or queue.
        given: the target as it was written, with the names of the API.
        retries: after the first try.
        longest_age: seconds after which an event is not tried again.
        dead_letters: ARN of the queue for events that could not be delivered; None if they are dropped.
        group: `MessageGroupId` of messages to a FIFO queue.
    """

    id: str
    arn: str
    given: Mapping[str, Any] = field(repr=False)
    retries: int = MOST_RETRIES
    longest_age: int = LONGEST_AGE
    dead_letters: str | None = None
    group: str | None = None

    @property
    def service(self) -> str:
        """The service of the ARN, as in `lambda`."""
        return self.arn.split(":")[2]

    @property
    def name(self) -> str:
        """The name of the function or queue."""
        return self.arn.split(":", 5)[5].removeprefix("function:")

    def input_of(self, event: Mapping[str, Any], occasion: Occasion) -> str:
        """What the target receives of an event.

        Raises:
            NotJson: the template makes something else of it.
        """
        if "Input" in self.given:
            return str(self.given["Input"])
        if "InputPath" in self.given:
            found = _found(event, self.given["InputPath"])
            return _compact({} if found is _NOTHING else found)
        if "InputTransformer" in self.given:
            transformer = self.given["InputTransformer"]
            paths = transformer.get("InputPathsMap") or {}
            values = {name: _found(event, path) for name, path in paths.items()}
            return _filled(transformer["InputTemplate"], values | _variables(event, occasion))
        return _compact(event)


def read_target(given: Mapping[str, Any]) -> Target:
    """Reads a target as PutTargets and a template write it.

    Raises:
        BadTarget: AWS would refuse it.
    """
    name, arn = str(given["Id"]), str(given["Arn"])
    if not re.fullmatch(r"arn:[\w-]+:[a-z0-9-]+:[\w-]*:[0-9]*:.+", arn):
        raise BadTarget(f"Parameter {arn[:200]} is not valid. Reason: Provided Arn is not in correct format.")
    forms = [form for form in _FORMS if given.get(form) is not None]
    if len(forms) > 1:
        raise BadTarget(f"Only one of Input, InputPath, or InputTransformer must be provided for target {name}.")
    if forms:
        _CHECKS[forms[0]](given[forms[0]], name)
    policy = given.get("RetryPolicy") or {}
    group = (given.get("SqsParameters") or {}).get("MessageGroupId")
    if arn.endswith(".fifo") and not group:
        raise BadTarget(f"Parameter(s) SqsParameters must be specified for target: {name}.")
    dead_letters = (given.get("DeadLetterConfig") or {}).get("Arn")
    if dead_letters is not None and str(dead_letters).split(":")[2:3] != ["sqs"]:
        raise BadTarget(f"Parameter DeadLetterConfig.Arn of target {name} is not the ARN of an SQS queue.")
    return Target(
        name,
        arn,
        {key: value for key, value in given.items() if value is not None},
        _whole(policy, "MaximumRetryAttempts", 0, MOST_RETRIES, name),
        _whole(policy, "MaximumEventAgeInSeconds", _SHORTEST_AGE, LONGEST_AGE, name),
        dead_letters,
        group,
    )


def _whole(policy: Mapping[str, Any], name: str, low: int, high: int, target: str) -> int:
    text = str(policy.get(name, high))
    if not re.fullmatch("[0-9]{1,6}", text) or not low <= int(text) <= high:
        raise BadTarget(f"RetryPolicy.{name} of target {target}: {text[:40]!r} is not from {low} to {high}.")
    return int(text)


def _check_input(given: Any, name: str) -> None:
    try:
        json.loads(given)
    except (TypeError, ValueError, RecursionError):
        raise BadTarget(f"JSON syntax error in input for target {name}.") from None


def _check_path(given: Any, name: str) -> None:
    if _steps(given) is None:
        raise BadTarget(f"Invalid InputPath for target {name}: {str(given)[:200]}.")


def _check_transformer(given: Any, name: str) -> None:
    paths, template = given.get("InputPathsMap") or {}, given["InputTemplate"]
    for key, path in paths.items():
        if key.lower().startswith("aws."):
            raise BadTarget(f"InputPathsMap of target {name}: the key {key[:80]} begins with AWS.")
        if _steps(path) is None:
            raise BadTarget(f"Invalid InputPath for target {name}: {str(path)[:200]}.")
    for key in _PLACEHOLDER.findall(template):
        if key not in paths and key not in _VARIABLES:
            raise BadTarget(f"InputTemplate for target {name} contains invalid placeholder {key[:80]}.")


_CHECKS: Final = {"Input": _check_input, "InputPath": _check_path, "InputTransformer": _check_transformer}


# ---- parts of an event ----------------------------------------------------------------------------------------------


def _steps(path: object) -> list[re.Match[str]] | None:
    """The steps of a path such as `$.detail.items[0]`; None if it is none."""
    if not isinstance(path, str) or not path.startswith("$"):
        return None
    steps, at = [], 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return None
        steps.append(step)
        at = step.end()
    return steps


def _found(event: Mapping[str, Any], path: str) -> Any:
    """The value at a path; _NOTHING if there is none. `[*]` is the list of what the rest finds in each element."""
    found: list[Any] = [event]
    many = False
    for step in _steps(path) or ():
        name, index = step[1] or step[3], step[2]
        if name is not None:
            found = [one[name] for one in found if isinstance(one, Mapping) and name in one]
        elif index == "*":
            found, many = [each for one in found if isinstance(one, list) for each in one], True
        else:
            found = [one[int(index)] for one in found if isinstance(one, list) and int(index) < len(one)]
    return found if many else found[0] if found else _NOTHING


# ---- templates ------------------------------------------------------------------------------------------------------


def _variables(event: Mapping[str, Any], occasion: Occasion) -> dict[str, Any]:
    without_detail = {key: value for key, value in event.items() if key not in ("detail", "detail-type")}
    values = (
        {**without_detail, "detailType": event.get("detail-type")},
        occasion.ingested,
        event,
        occasion.rule_arn,
        occasion.rule_name,
    )
    return dict(zip(_VARIABLES, values, strict=True))


def _filled(template: str, values: Mapping[str, Any]) -> str:
    is_text = template.lstrip().startswith('"')
    pieces, quoted = [], False
    for index, piece in enumerate(_PLACEHOLDER.split(template)):
        if index % 2:
            pieces.append(_in_string(values[piece], is_text=is_text) if quoted else _outside(values[piece]))
        else:
            pieces.append(piece)
            quoted ^= len(re.findall(r'"', re.sub(r"\\.", "", piece))) % 2 == 1
    filled = "".join(pieces)
    parts: Sequence[str] = filled.splitlines() if is_text else [filled]  # several lines of strings are delivered too
    try:
        for part in parts:
            if part.strip():
                json.loads(part)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"the InputTemplate makes something else than JSON of the event: {error}") from None
    return filled


def _outside(value: Any) -> str:
    return '""' if value is _NOTHING else _compact(value)


def _in_string(value: Any, *, is_text: bool) -> str:
    if value is _NOTHING:
        return ""
    written = _compact(value)
    if isinstance(value, str):
        return written[1:-1]
    return written.replace('"', "") if is_text else written  # recorded: only a template that is a string loses quotes


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
