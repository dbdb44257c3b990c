"""A template's text -> what stands in it.

Rule: YAML as CloudFormation reads it: a date is text, a key stands once, and an alias is no bomb. JSON is YAML, but for
its tabs.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from lattice_bridge.deployment.cloudformation.fault import BadTemplate

_MOST: Final = 100_000
"""Values in a template, each counted wherever an alias repeats it. CloudFormation takes 1 MB of text."""

_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MOST_DIGITS: Final = 4300
"""As in Python. YAML's `1:30` is a number to the base of 60, and of two million such digits it takes hours."""


def read_document(text: str, place: str) -> dict[str, Any]:
    """The template in a text.

    Args:
        text: YAML or JSON.
        place: where it is from, for messages.

    Raises:
        BadTemplate: with the line of the fault.
    """
    document = read_yaml(text, place)
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise BadTemplate(f"{place}: no Resources; is this a CloudFormation or SAM template?")
    return document


def read_yaml(text: str, place: str) -> Any:
    """What stands in a text, with `!Sub x` as `{"Fn::Sub": "x"}`.

    Args:
        text: YAML or JSON.
        place: where it is from, for messages.

    Raises:
        BadTemplate: with the line of the fault.
    """
    try:
        loader = _Loader(_without_tabs(text))
        node = loader.get_single_node()
        _weigh(node, {})
        return None if node is None else loader.construct_document(node)
    except _Refused as error:
        raise BadTemplate(f"{place}: line {error.line}: {error}") from error
    except yaml.YAMLError as error:
        raise BadTemplate(f"{place}: not YAML: {' '.join(str(error).split())}") from error
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:  # `!!int ''`, `!!bool maybe`, `1:1:…:1.0`
        raise BadTemplate(f"{place}: a value that cannot be read: {error}") from error
    except RecursionError as error:
        raise BadTemplate(f"{place}: nested too deeply") from error


class _Refused(Exception):
    """It is YAML, and no template."""

    def __init__(self, text: str, node: yaml.Node) -> None:
        super().__init__(text)
        self.line = node.start_mark.line + 1


def lines_of(text: str) -> dict[str, int]:
    """The line of each resource, rule and condition, counted from 1, by its name; of a text that can be read."""
    sections = _entries(_Loader(_without_tabs(text)).get_single_node())
    found = (sections[name][1] for name in ("Conditions", "Rules", "Resources") if name in sections)
    return {name: key.start_mark.line + 1 for section in found for name, (key, _) in _entries(section).items()}


def _entries(node: yaml.Node | None) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: (key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def _without_tabs(text: str) -> str:
    """Tabs indent JSON, and YAML forbids them. A text within JSON has none."""
    return text.replace("\t", " ") if text.lstrip("\ufeff \t\r\n").startswith("{") else text


def _weigh(node: yaml.Node | None, weights: dict[int, int]) -> int:
    """How many values a node comes to, with every alias written out."""
    if not isinstance(node, yaml.CollectionNode):
        if node is not None and node.tag in _NUMBERS and len(node.value) > _MOST_DIGITS:
            raise _Refused(f"a number of more than {_MOST_DIGITS:,} digits", node)
        return 1
    if id(node) in weights:
        return weights[id(node)]
    weights[id(node)] = _MOST + 1  # an alias in here of what it is in has no end
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        _refuse_twins(node)
        parts = [part for pair in node.value for part in pair]
    weight = 1 + sum(_weigh(part, weights) for part in parts)
    if weight > _MOST:
        raise _Refused(f"with its aliases written out, this has more than {_MOST:,} values", node)
    weights[id(node)] = weight
    return weight


def _refuse_twins(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            raise _Refused(f"{key.value} is there twice", key)
        if isinstance(key, yaml.ScalarNode):
            seen.add(key.value)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags. Stops at once at a text with too many values, each of which costs a kilobyte."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._composed = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._composed += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        if self._composed > _MOST and node is not None:
            raise _Refused(f"the text up to here has more than {_MOST:,} values", node)
        return node


def _tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _text(_: object, node: Any) -> str:
    return str(node.value)


_Loader.add_multi_constructor("!", _tag)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
