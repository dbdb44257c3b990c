"""A template's file: its text, and the YAML or JSON in it.

Rule: YAML as CloudFormation reads it: a date is text, and aliases cannot fill the memory. JSON is YAML, except for its
tabs. CloudFormation accepts a key that occurs twice, and the last one wins. So a repeated key is reported, or refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml
from yaml.composer import Composer

from lattice_bridge.config.regular_file import MIB, BadFile, read_regular_text

if TYPE_CHECKING:
    from yaml.constructor import SafeConstructor

try:
    from yaml import CSafeLoader
except ImportError:  # PyYAML was built without libyaml, which its wheels have
    from yaml import SafeLoader as CSafeLoader  # type: ignore[assignment] # of the same methods

MAX_BYTES: Final = 4 * MIB
"""The largest template that is read, in bytes. CloudFormation accepts 1 MB."""
_MAX_VALUES: Final = 100_000
"""The most values in a template, each counted wherever an alias repeats it."""
_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MAX_DIGITS: Final = 4300
"""As in Python. YAML's `1:30` is a number to base 60, and parsing two million such digits takes hours."""

RepeatedKeys: TypeAlias = list[tuple[str, int]]
"""(key, line) pairs."""


class BadTemplate(Exception):
    """The template cannot be read, or refers to something that does not exist. The message contains the place.

    Attributes:
        line, column: of the fault in the file, counted from 1; both are 1 if they are not known.
    """

    def __init__(self, text: str, line: int = 1, column: int = 1) -> None:
        super().__init__(text)
        self.line = line
        self.column = column


@contextmanager
def malformed(place: str) -> Iterator[None]:
    """Turns every error that an unexpected shape causes into a BadTemplate with its place."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, StopIteration) as error:
        what = f"{type(error).__name__}: {str(error)[:200]}"
        raise BadTemplate(f"{place}: malformed, not of the shape that CloudFormation documents ({what})") from error


def read_text(path: Path) -> str:
    """The text of a template's file.

    Raises:
        BadTemplate: no such file, not a regular file, over 4 MiB, or not UTF-8.
    """
    try:
        return read_regular_text(path, MAX_BYTES)
    except BadFile as error:
        raise BadTemplate(str(error)) from error


def read_document(text: str, place: str, repeated: RepeatedKeys | None = None) -> dict[str, Any]:
    """The template in a text, as a map with `Resources`.

    Args:
        text: YAML or JSON.
        place: the file's name, for messages.
        repeated: gets each key that occurs twice in a map; None to refuse such a key.

    Raises:
        BadTemplate: with the line of the fault.
    """
    document = read_yaml(text, place, repeated)
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise BadTemplate(f"{place}: no Resources. Fix: name a CloudFormation or SAM template")
    return document


def read_yaml(text: str, place: str, repeated: RepeatedKeys | None = None) -> Any:
    """The value in a text, with `!Sub x` as `{"Fn::Sub": "x"}`.

    Args:
        text: YAML or JSON.
        place: the file's name, for messages.
        repeated: gets each key that occurs twice in a map; None to refuse such a key.

    Raises:
        BadTemplate: with the line of the fault.
    """
    try:
        loader, node = _composed(_without_tabs(text))
        _weigh(node, {}, repeated)
        return None if node is None else loader.construct_document(node)
    except _Refused as error:
        raise BadTemplate(f"{place}: line {error.line}: {error}", error.line, error.column) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise BadTemplate(f"{place}: not YAML: {_fault_of(error)}", *at) from error
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:  # `!!int ''`, `!!bool maybe`, `1:1:…:1.0`
        raise BadTemplate(f"{place}: a value is malformed: {error}") from error
    except RecursionError as error:
        raise BadTemplate(f"{place}: nested too deeply") from error


def _fault_of(error: yaml.YAMLError) -> str:
    """PyYAML's fault on one line, without its excerpts: `expected ',' or '}', but got ':', while parsing …`."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    begun = error.context_mark
    since = "" if begun is None else f" that begins at line {begun.line + 1}, column {begun.column + 1}"
    context = f", {error.context}{since}" if error.context else ""
    return " ".join(f"{error.problem or 'malformed'}{context}".split())


class _Refused(Exception):
    """Valid YAML that no template contains."""

    def __init__(self, text: str, node: yaml.Node) -> None:
        super().__init__(text)
        self.line, self.column = _place(node)


def places_of(text: str) -> dict[str, tuple[int, int]]:
    """The line and column of each section, resource, rule and condition by name, counted from 1. The text has to be
    readable."""
    sections = _entries(_composed(_without_tabs(text))[1])
    places = {name: _place(key) for name, (key, _) in sections.items()}
    for section in (sections[name][1] for name in ("Conditions", "Rules", "Resources") if name in sections):
        places |= {name: _place(key) for name, (key, _) in _entries(section).items()}
    return places


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _entries(node: yaml.Node | None) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: (key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def _without_tabs(text: str) -> str:
    """Replaces tabs in JSON, where they indent. YAML forbids them, and a string in JSON contains none."""
    return text.replace("\t", " ") if text.lstrip("\ufeff \t\r\n").startswith("{") else text


def _weigh(node: yaml.Node | None, weights: dict[int, int], repeated: RepeatedKeys | None) -> int:
    """The number of values in a node, with every alias expanded."""
    if not isinstance(node, yaml.CollectionNode):
        if node is not None and node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
            raise _Refused(f"a number of more than {_MAX_DIGITS:,} digits", node)
        return 1
    if id(node) in weights:
        return weights[id(node)]
    weights[id(node)] = _MAX_VALUES + 1  # an alias of a node inside that node has no end
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        for key in _repeated_keys(node):
            if repeated is None:
                raise _Refused(f"{key.value} occurs twice", key)
            repeated.append((key.value, _place(key)[0]))
        parts = [part for pair in node.value for part in pair]
    weight = 1 + sum(_weigh(part, weights, repeated) for part in parts)
    if weight > _MAX_VALUES:
        raise _Refused(f"with its aliases expanded, this has more than {_MAX_VALUES:,} values", node)
    weights[id(node)] = weight
    return weight


def _repeated_keys(node: yaml.MappingNode) -> Iterator[yaml.ScalarNode]:
    """The keys of a map that an earlier key of it equals."""
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                yield key
            seen.add(key.value)


class _Composer(Composer):
    """Stops as soon as there are too many values: each costs a kilobyte."""

    _composed = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._composed += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        if self._composed > _MAX_VALUES and node is not None:
            raise _Refused(f"the text up to here has more than {_MAX_VALUES:,} values", node)
        return node


class _Loader(_Composer, yaml.SafeLoader):
    """A YAML loader with CloudFormation's tags."""


class _FastLoader(_Composer, CSafeLoader):
    """The same with libyaml, which is seven times as fast. It composes in Python, because of the limit."""

    def __init__(self, text: str) -> None:
        CSafeLoader.__init__(self, text)
        _Composer.__init__(self)


def _composed(text: str) -> tuple[_Loader | _FastLoader, yaml.Node | None]:
    """The document's node, and the loader that makes values of it.

    Whether a text that libyaml refuses is YAML, and what is wrong with it, is for PyYAML's own parser to say.
    """
    with suppress(yaml.YAMLError):
        fast = _FastLoader(text)
        return fast, fast.get_single_node()
    loader = _Loader(text)
    return loader, loader.get_single_node()


def _tag(loader: SafeConstructor, suffix: str, node: yaml.Node) -> dict[str, Any]:
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


for _loader in (_Loader, _FastLoader):
    _loader.add_multi_constructor("!", _tag)
    _loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
