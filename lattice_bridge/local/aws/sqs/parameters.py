"""The parameters of an operation, and the entries of a batch, read from JSON.

Rule: a parameter of another type is refused with its name, before the operation begins.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from lattice_bridge.local.aws.sqs.errors import SqsError, invalid_value, missing
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing

_ENTRY_ID: Final = re.compile("[A-Za-z0-9_-]{1,80}")
_MAX_ENTRIES: Final = 10


class Parameters:
    """The members of a JSON object."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def has(self, name: str) -> bool:
        """Whether the parameter is there."""
        return self._members.get(name) is not None

    def text(self, name: str) -> str:
        """A string that is required."""
        value = self.optional_text(name)
        if value is None:
            raise missing(name)
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or None."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, str):
            raise _wrong_type(name, "a string")
        return value

    def number(self, name: str, least: int, most: int, reason: str) -> int | None:
        """A whole number in a range, or None."""
        value = self._members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(name, "a whole number")
        if not least <= value <= most:
            raise invalid_value(name, value, reason)
        return value

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty if it is absent."""
        value = self._members.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise _wrong_type(name, "a list of strings")
        return value

    def strings(self, name: str) -> dict[str, str]:
        """An object with strings; empty if it is absent."""
        value = self.object(name)
        if not all(isinstance(each, str) for each in value.values()):
            raise _wrong_type(name, "an object with strings")
        return value

    def object(self, name: str) -> dict[str, Any]:
        """An object; empty if it is absent."""
        value = self._members.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _wrong_type(name, "an object")
        return value

    def entries(self) -> list[tuple[str, Parameters]]:
        """The entries of a batch, with their ids.

        Raises:
            SqsError: none, too many, or an id that is missing, repeated or not allowed.
        """
        found = self._members.get("Entries")
        if found is None:
            raise missing("Entries")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise _wrong_type("Entries", "a list of objects")
        if not found:
            raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.")
        if len(found) > _MAX_ENTRIES:
            what = f"Maximum number of entries per request are {_MAX_ENTRIES}. You have sent {len(found)}."
            raise SqsError("TooManyEntriesInBatchRequest", what)
        entries = [(Parameters(each).text("Id"), Parameters(each)) for each in found]
        seen: set[str] = set()
        for entry_id, _ in entries:
            if _ENTRY_ID.fullmatch(entry_id) is None:
                what = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                raise SqsError("InvalidBatchEntryId", f"{what}It can be at most 80 letters long.")
            if entry_id in seen:
                raise SqsError("BatchEntryIdsNotDistinct", f"Id {entry_id} repeated.")
            seen.add(entry_id)
        return entries

    # ---- parts of SQS -----------------------------------------------------------------------------------------------

    def queue_name(self, account: str) -> str | None:
        """The name in a queue's URL, with any host; None if the URL is of another account.

        AWS accepts the name in place of the URL, so it is accepted here.
        """
        url = self.text("QueueUrl")
        try:
            parts = [part for part in urlsplit(url).path.split("/") if part]
        except ValueError:
            parts = []
        if not parts or len(url) > 1000:
            raise SqsError("InvalidAddress", f"The address {url[:100]} is not valid for this endpoint.")
        return parts[-1] if len(parts) == 1 or parts[-2] == account else None

    def visibility(self) -> int | None:
        """`VisibilityTimeout`."""
        return self.number("VisibilityTimeout", 0, 43_200, "Must be >= 0 and <= 43200, if provided.")

    def outgoing(self, sender_id: str, trace_header: str | None) -> Outgoing:
        """The message that is sent.

        Args:
            sender_id: of the signature.
            trace_header: of the request; a system attribute replaces it.
        """
        delay = self._members.get("DelaySeconds")
        if delay is not None and (isinstance(delay, bool) or not isinstance(delay, int)):
            raise _wrong_type("DelaySeconds", "a whole number")
        system = dict(self._attributes("MessageSystemAttributes"))
        for name, attribute in system.items():
            if name != "AWSTraceHeader" or attribute.data_type != "String" or not isinstance(attribute.value, str):
                what = f"Message system attribute name '{name[:100]}' is invalid. Fix: write AWSTraceHeader, a String"
                raise SqsError("InvalidParameterValueException", what)
            trace_header = attribute.value
        return Outgoing(
            body=self.text("MessageBody"),
            attributes=dict(self._attributes("MessageAttributes")) if self.has("MessageAttributes") else {},
            delay=delay,
            group=self.optional_text("MessageGroupId"),
            deduplication_id=self.optional_text("MessageDeduplicationId"),
            sender_id=sender_id,
            trace_header=trace_header,
        )

    def _attributes(self, parameter: str) -> Iterator[tuple[str, Attribute]]:
        for name, found in self.object(parameter).items():
            shown = f"{parameter}.{name[:100]}"
            if not isinstance(found, dict):
                raise _wrong_type(shown, "an object")
            members = Parameters(found)
            data_type = members.optional_text("DataType")
            if not data_type:
                what = f"The message attribute '{name[:300]}' must contain a non-empty attribute type."
                raise SqsError("InvalidParameterValueException", what)
            binary, text = members.optional_text("BinaryValue"), members.optional_text("StringValue")
            if binary is not None and text is not None:
                what = f"Message attribute '{name[:300]}' must have one value: StringValue or BinaryValue."
                raise SqsError("InvalidParameterValueException", what)
            yield name, Attribute(data_type, text or "" if binary is None else _decoded(binary, shown))


def _decoded(value: str, name: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong_type(f"{name}.BinaryValue", "base64") from None


def _wrong_type(name: str, wanted: str) -> SqsError:
    return SqsError("InvalidParameterValueException", f"The parameter {name} is not {wanted}.")
