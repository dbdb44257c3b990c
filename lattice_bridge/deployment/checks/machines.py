"""State machines: which of their tasks invoke a function.

Rule: each task is judged by itself, with its substitutions filled in. Of a definition that is not understood, all of it
is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from lattice_bridge.deployment.checks.names import entries, mentions, refers_to
from lattice_bridge.deployment.cloudformation.template import Resource
from lattice_bridge.deployment.cloudformation.values import as_text

MACHINE: Final = "AWS::StepFunctions::StateMachine"
_SUBSTITUTED: Final = re.compile(r"\$\{([^{}]*)\}")
_MOST_CHARACTERS: Final = 1_000_000
"""That substitutions add to one text; a definition has fewer in Step Functions. A text with more stays as written."""
_NAMES: Final = ("FunctionName", "Resource")
"""Under these, a task has the function that it invokes, by its name or its ARN."""


def tasks_of(machine: Resource, function: Resource) -> list[Mapping[str, Any]]:
    """The tasks of a state machine that invoke a function."""
    definition: Any = machine.properties.get("Definition")
    with suppress(ValueError):
        definition = definition or json.loads(str(machine.properties.get("DefinitionString")))
    substitutions = machine.properties.get("DefinitionSubstitutions")
    filled = _filled(definition, substitutions if isinstance(substitutions, dict) else {})
    found = [task for task in _tasks(filled) if _invokes(task, function)]
    return found or ([machine.properties] if mentions(dict(machine.properties), function) else [])


def _filled(value: Any, substitutions: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(entry, substitutions) for key, entry in value.items()}
    if isinstance(value, list):
        return [_filled(entry, substitutions) for entry in value]
    if isinstance(value, str):
        length = sum(len(as_text(substitutions.get(name, ""))) for name in _SUBSTITUTED.findall(value))
        if length <= _MOST_CHARACTERS:
            return _SUBSTITUTED.sub(lambda found: as_text(substitutions.get(found[1], found[0])), value)
    return value


def _tasks(value: Any) -> Iterator[Mapping[str, Any]]:
    """At any depth, as within Map and Parallel."""
    if isinstance(value, dict) and value.get("Type") == "Task":
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _tasks(entry)


def _invokes(task: Mapping[str, Any], function: Resource) -> bool:
    named = any(refers_to(text, function) for key, text in entries(task) if key.removesuffix(".$") in _NAMES)
    return named or mentions(task, function)
