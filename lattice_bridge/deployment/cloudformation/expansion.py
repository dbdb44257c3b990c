"""Expands a template before its values are resolved: `AWS::Include` of local files, and `Fn::ForEach`.

Rule: the author of a template is not always the person who reads it. A file outside the template's folder is not read,
files have a limit together, and each copy that a loop makes is counted before it is made.

Sources: "AWS::Include transform" and "Fn::ForEach" in the CloudFormation template reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from lattice_bridge.config.regular_file import BadFile, read_regular_text
from lattice_bridge.deployment.cloudformation.text import MAX_BYTES, BadTemplate, read_yaml
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved

INCLUDE: Final = "AWS::Include"
_MAX_FILES: Final = 20
"""Each may have as many values as a template."""
_CALL: Final = "Fn::Transform"
_LOOP: Final = "Fn::ForEach::"
_SECTIONS: Final = ("Conditions", "Resources", "Outputs")
"""Sections whose entries, and the values in them, may be loops."""

Unread: TypeAlias = list[tuple[str, str]]
"""(reason, place) pairs."""

# ---- AWS::Include ----------------------------------------------------------------------------------------------------


class Includes:
    """Puts the files that a template includes into it.

    Args:
        folder: contains the template, and the files.

    Attributes:
        unread: files that are not read.
        files: that are read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = MAX_BYTES
        self.unread: Unread = []
        self.files: list[Path] = []

    def expand(self, document: dict[str, Any]) -> None:
        """Changes a template. Included files include nothing, as on AWS."""
        if _is_include(document.get("Transform")) and (found := self._read(document["Transform"], "Transform")):
            document |= {key: value for key, value in found.items() if key not in document}
            del document["Transform"]
        self._walk(document, "the template")

    def _walk(self, value: Any, place: str) -> None:
        if isinstance(value, list):
            for entry in value:
                self._walk(entry, place)
        if not isinstance(value, dict):
            return
        found = self._read(value[_CALL], place) if _is_include(value.get(_CALL)) else None
        for key, entry in list(value.items()):
            self._walk(entry, as_text(key) if place == "the template" else f"{place}.{key}")
        if found is not None:
            del value[_CALL]
            value |= {**found, **value}

    def _read(self, call: Mapping[str, Any], place: str) -> dict[str, Any] | None:
        location = (call.get("Parameters") or {}).get("Location")
        if not isinstance(location, str) or location.startswith("s3://"):
            self.unread.append((f"{INCLUDE} of a file that is not local", place))
            return None
        if len(self.files) >= _MAX_FILES:
            self.unread.append((f"{INCLUDE}: more than {_MAX_FILES} files", place))
            return None
        try:
            text = read_regular_text(self._folder / location, self._left, within=self._folder)
            found = read_yaml(text, location)
        except (BadFile, BadTemplate) as error:
            self.unread.append((f"{INCLUDE}: {error}", place))
            return None
        self._left -= len(text)
        self.files.append(self._folder / location)
        if not isinstance(found, dict):
            self.unread.append((f"{INCLUDE}: {location} is not a map", place))
            return None
        return found


def _is_include(call: Any) -> bool:
    return isinstance(call, dict) and call.get("Name") == INCLUDE


# ---- Fn::ForEach -----------------------------------------------------------------------------------------------------


def has_loops(value: Any) -> bool:
    """Whether a value contains a `Fn::ForEach`."""
    if isinstance(value, dict):
        return any(str(key).startswith(_LOOP) or has_loops(entry) for key, entry in value.items())
    return isinstance(value, list) and any(map(has_loops, value))


class Loops:
    """Expands the loops of a template.

    Args:
        resolve: gives the value of a collection at a place.
        count: counts values and characters, and refuses too many.
    """

    def __init__(self, resolve: Callable[[Any, str], Any], count: Callable[[int, int], None]) -> None:
        self._resolve = resolve
        self._count = count

    def expand(self, document: dict[str, Any]) -> None:
        """Changes a template. A loop over a collection that only a deployed stack has stays as it is.

        Raises:
            BadTemplate: a loop is malformed, or makes a name twice.
        """
        for section in _SECTIONS:
            if isinstance(document.get(section), dict):
                document[section] = self._expanded(document[section], section)

    def _expanded(self, value: Any, place: str) -> Any:
        if isinstance(value, list):
            return [self._expanded(entry, place) for entry in value]
        if not isinstance(value, dict):
            return value
        found: dict[Any, Any] = {}
        for key, entry in value.items():
            here = f"{place}.{key}"
            made = self._loop(entry, here) if str(key).startswith(_LOOP) else None
            for name, one in ({key: self._expanded(entry, here)} if made is None else made).items():
                if name in found:
                    raise BadTemplate(f"{here}: {name} is there already. Fix: put the identifier into the key")
                found[name] = one
        return found

    def _loop(self, written: Any, place: str) -> dict[Any, Any] | None:
        """What a loop makes; None if its collection is not known."""
        shape = isinstance(written, list) and len(written) == 3 and isinstance(written[2], dict)
        if not shape or not isinstance(written[0], str) or not written[0].isalnum():
            raise BadTemplate(f"{place}: malformed. Fix: write [IDENTIFIER, COLLECTION, {{KEY: VALUE}}]")
        identifier, body = written[0], written[2]
        collection = self._resolve(written[1], place)
        if unresolved(collection):
            return None
        if not isinstance(collection, list):
            raise BadTemplate(f"{place}: the collection is not a list. Fix: write a list, or refer to one")
        made: dict[Any, Any] = {}
        for item in map(as_text, _flat(collection)):
            copied = self._replaced(body, identifier, item)
            for name, one in self._expanded(copied, place).items():
                if name in made:
                    raise BadTemplate(f"{place}: {name} is made twice. Fix: put the identifier into the key")
                made[name] = one
        return made

    def _replaced(self, value: Any, identifier: str, item: str) -> Any:
        self._count(1, len(value) + len(item) if isinstance(value, str) else 0)
        if isinstance(value, str):
            plain = re.sub(r"[^A-Za-z0-9]", "", item)
            return value.replace(f"${{{identifier}}}", item).replace(f"&{{{identifier}}}", plain)
        if isinstance(value, list):
            return [self._replaced(entry, identifier, item) for entry in value]
        if not isinstance(value, dict):
            return value
        if value == {"Ref": identifier}:
            return item
        return {
            self._replaced(key, identifier, item): self._replaced(entry, identifier, item)
            for key, entry in value.items()
        }


def _flat(collection: list[Any]) -> list[Any]:
    """A list in which each list is replaced by its items: `[!Ref ListParameter, one]`."""
    return [item for entry in collection for item in (entry if isinstance(entry, list) else [entry])]
