"""Reads how asynchronous invocations are retried, and where the records of ended ones go.

Rule: properties mean what the CloudFormation reference of AWS::Lambda::EventInvokeConfig says, and have Lambda's
limits. A value that AWS refuses is an error here. A destination that the stack does not emulate is named at each start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.local.plan.model import EventInvokeConfig, LeftOut

TYPE: Final = "AWS::Lambda::EventInvokeConfig"
LATEST: Final = "$LATEST"
"""The qualifier of invocations that have none."""

_RETRIES: Final = (0, 2)
_SECONDS: Final = (60, 21_600)
_SERVICE: Final = re.compile(r"arn:aws[a-z-]*:([a-z0-9]+):[a-z0-9-]*:[0-9]*:.+")
_OTHERS: Final[Mapping[str, str]] = {"s3": "an S3 bucket", "sns": "an SNS topic"}
"""Service → a destination on AWS that this stack does not emulate."""
_TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "OnSuccess": ("sqs", "lambda", "events", "sns"),
    "OnFailure": ("sqs", "lambda", "events", "sns", "s3"),
    "TargetArn": ("sqs", "sns"),
}
"""Property → the services whose ARNs Lambda accepts there."""


class EventInvokeConfigs:
    """The configurations of a template's functions.

    Args:
        template: resolved. A function of SAM that is not translated has its configuration among its properties.
        not_sent: gets a sentence about each destination to which the stack sends nothing.

    Raises:
        BadTemplate: AWS would refuse one.
    """

    def __init__(self, template: Template, not_sent: LeftOut) -> None:
        self._not_sent = not_sent
        self._found: dict[tuple[str, str], EventInvokeConfig] = {}
        for resource in template.of_type(TYPE):
            with malformed(f"{TYPE} {resource.id}"):
                name = as_text(resource.properties["FunctionName"]).rpartition(":function:")[2].partition(":")[0]
                self._add(name, as_text(resource.properties["Qualifier"]), resource.id, resource.properties)
        for resource in template.of_type("AWS::Serverless::Function"):
            written = resource.properties.get("EventInvokeConfig")
            if written:
                with malformed(f"function {resource.id}"):
                    name = as_text(resource.properties.get("FunctionName", resource.id))
                    qualifier = as_text(resource.properties.get("AutoPublishAlias", LATEST))
                    self._add(name, qualifier, f"{resource.id}.EventInvokeConfig", written)

    def of(self, function: str) -> dict[str, EventInvokeConfig]:
        """The configurations of a function, by qualifier."""
        return {qualifier: config for (name, qualifier), config in self._found.items() if name == function}

    def dead_letters(self, resource: Resource) -> str:
        """The ARN of a function's dead-letter queue; empty if it has none that is emulated.

        Raises:
            BadTemplate: AWS would refuse it.
        """
        name = "DeadLetterConfig" if "DeadLetterConfig" in resource.properties else "DeadLetterQueue"
        return self._target(
            (resource.properties.get(name) or {}).get("TargetArn"), f"{resource.id}.{name}", "TargetArn"
        )

    def _add(self, function: str, qualifier: str, place: str, properties: Mapping[str, Any]) -> None:
        if (other := self._found.get((function, qualifier))) is not None:
            raise BadTemplate(f"{place}: {other.id} already configures {function}:{qualifier}. Fix: remove one")
        written = properties.get("DestinationConfig") or {}
        targets = [
            self._target((written.get(name) or {}).get("Destination"), place, name)
            for name in ("OnSuccess", "OnFailure")
        ]
        if function in [arn.partition(":function:")[2].partition(":")[0] for arn in targets]:
            raise BadTemplate(f"{place}: {function} is a destination of itself. Fix: write another one, as a queue")
        self._found[function, qualifier] = EventInvokeConfig(
            place,
            _whole(properties.get("MaximumRetryAttempts", 2), f"{place}.MaximumRetryAttempts", _RETRIES),
            _whole(properties.get("MaximumEventAgeInSeconds", 21_600), f"{place}.MaximumEventAgeInSeconds", _SECONDS),
            *targets,
        )

    def _target(self, value: object, place: str, name: str) -> str:
        """The ARN of a destination; empty if there is none, or the stack does not emulate it."""
        arn, known = as_text(value or ""), _TARGETS[name]
        if not arn:
            return ""
        if unresolved(arn):
            self._not_sent.add(f"{name} is not known here, so nothing is sent there", place)
            return ""
        match = _SERVICE.fullmatch(arn)
        if match is None or match[1] not in known:
            raise BadTemplate(
                f"{place}.{name}: {arn[:200]!r} is not an ARN of {', '.join(known)}. Fix: write the ARN of a queue"
            )
        if match[1] in _OTHERS:
            self._not_sent.add(
                f"{name} is {_OTHERS[match[1]]}, which is not emulated: nothing is sent there. "
                "Fix: to see the records here, write the ARN of a queue",
                place,
            )
            return ""
        return arn


def _whole(value: object, place: str, limits: tuple[int, int]) -> int:
    text, (low, high) = as_text(value), limits
    if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
        raise BadTemplate(f"{place}: {text[:40]!r} is not from {low} to {high}. Fix: write such a whole number")
    return int(text)
