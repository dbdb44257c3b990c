"""Nested stacks whose template is a file: where it is, and what the outer template gives it and takes from it.

Rule: a stack is read when its outputs or resources are first needed, once, and only if its file is in the folder of the
outermost template. A stack that cannot be read is named, and the rest is served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.values import FUNCTIONS, as_text, marker

STACKS: Final[Mapping[str, str]] = {
    "AWS::CloudFormation::Stack": "TemplateURL",
    "AWS::Serverless::Application": "Location",
}
"""Type → the property with the address of its template."""
OUTPUTS: Final = "Outputs."
"""How the attributes of a stack begin that are its outputs."""
_MAX_DEPTH: Final = 4
_MAX_STACKS: Final = 20
_CODE: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(FUNCTIONS, ("CodeUri", "Code")),
    "AWS::Serverless::LayerVersion": ("ContentUri",),
    "AWS::Lambda::LayerVersion": ("Content",),
}
"""Type → properties that may be a local path."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A nested stack that is read.

    Attributes:
        resources: as in the outer template, by logical id.
        output: gives the value of an output by name.
    """

    resources: Mapping[str, Any]
    output: Callable[[str], Any]


Read: TypeAlias = Callable[[str, Path, Mapping[str, str]], Stack]
"""Reads the stack with a logical id from a file with values for its parameters."""


@dataclass(slots=True)
class Budget:
    """The stacks that may still be read, with all their own."""

    left: int = _MAX_STACKS


class Stacks:
    """The nested stacks of one template.

    Args:
        folder: of the template.
        root: of the outermost one.
        depth: of the template; 0 is the outermost.
        budget: common to all.
        read: reads one.

    Attributes:
        unread: the reasons why stacks are not served, as (sentence, logical id) pairs.
    """

    def __init__(self, folder: Path, root: Path, depth: int, budget: Budget, read: Read) -> None:
        self._folder, self._root = folder, root
        self._depth, self._budget = depth, budget
        self._read = read
        self._found: dict[str, Stack | None] = {}
        self.unread: list[tuple[str, str]] = []

    def stack(self, name: str, kind: str, properties: Callable[[], Mapping[str, Any]]) -> Stack | None:
        """A nested stack; None if it is not read, or if the resource is no stack.

        Args:
            name: its logical id.
            kind: its type.
            properties: gives them resolved.
        """
        if kind not in STACKS:
            return None
        if name not in self._found:
            self._found[name] = None  # for a stack that needs its own output
            try:
                found = properties()
                self._found[name] = self._opened(name, found.get(STACKS[kind]), found.get("Parameters") or {})
            except BadTemplate as error:
                self.unread.append((f"a nested stack is not served: {error}", name))
        return self._found[name]

    def output(self, name: str, kind: str, properties: Callable[[], Mapping[str, Any]], attribute: str) -> Any:
        """The value of `!GetAtt Stack.Outputs.X`; a marker if the stack is not read.

        Raises:
            BadTemplate: the stack has no such output.
        """
        found = self.stack(name, kind, properties)
        return marker(f"{name}.{attribute}") if found is None else found.output(attribute.removeprefix(OUTPUTS))

    def _opened(self, name: str, location: Any, parameters: Mapping[str, Any]) -> Stack:
        if not isinstance(location, str) or "://" in location:
            raise BadTemplate("its template is not a local file")
        if self._depth >= _MAX_DEPTH or self._budget.left <= 0:
            raise BadTemplate(f"more than {_MAX_DEPTH} levels or {_MAX_STACKS} nested stacks")
        self._budget.left -= 1
        given = {key: ",".join(map(as_text, _listed(value))) for key, value in parameters.items()}
        return self._read(name, self._folder / location, given)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def code_from(folder: Path, root: Path, kind: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a resource of a nested template, with its code relative to the outermost template.

    Args:
        folder: of the nested template, below `root`.
        root: of the outermost template.
        kind: the resource's type.
        properties: resolved.
    """
    found = dict(properties)
    for key in _CODE.get(kind, ()):
        if isinstance(code := found.get(key), str) and "://" not in code:
            found[key] = str(PurePosixPath(folder.relative_to(root).as_posix(), code))
    if kind in FUNCTIONS and not {"CodeUri", "Code", "InlineCode", "ImageUri"} & set(found):
        found["Code"] = folder.relative_to(root).as_posix()
    return found
