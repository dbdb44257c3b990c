"""The parameters of an operation, read from the members of a JSON object.

Rule: a parameter of another type is refused with its name, before the operation begins. The error is the service's own,
so each service has a class of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Parameters(ABC):
    """The members of a JSON object."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    @abstractmethod
    def missing(self, name: str) -> Exception:
        """The error for a parameter that is required."""

    @abstractmethod
    def wrong_type(self, name: str, wanted: str) -> Exception:
        """The error for a parameter of another type than `wanted`, as in `a string`."""

    @abstractmethod
    def out_of_range(self, name: str, value: int, reason: str) -> Exception:
        """The error for a number that is too low or too high."""

    def has(self, name: str) -> bool:
        """Whether the parameter is there."""
        return self._members.get(name) is not None

    def text(self, name: str) -> str:
        """A string that is required."""
        value = self.optional_text(name)
        if value is None:
            raise self.missing(name)
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or None."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong_type(name, "a string")
        return value

    def number(self, name: str, least: int, most: int, reason: str) -> int | None:
        """A whole number in a range, or None."""
        value = self._members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong_type(name, "a whole number")
        if not least <= value <= most:
            raise self.out_of_range(name, value, reason)
        return value

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty if it is absent."""
        value = self._members.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.wrong_type(name, "a list of strings")
        return value

    def strings(self, name: str) -> dict[str, str]:
        """An object with strings; empty if it is absent."""
        value = self.object(name)
        if not all(isinstance(each, str) for each in value.values()):
            raise self.wrong_type(name, "an object with strings")
        return value

    def object(self, name: str) -> dict[str, Any]:
        """An object; empty if it is absent."""
        value = self._members.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong_type(name, "an object")
        return value
