"""The parameters of an operation of SQS, and the entries of a batch."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from lattice_bridge.local.aws.parameters import Parameters
from lattice_bridge.local.aws.sqs.errors import SqsError, invalid_value, missing
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing

_ENTRY_ID: Final = re.compile("[A-Za-z0-9_-]{1,80}")
_MAX_ENTRIES: Final = 10


class SqsParameters(Parameters):
    """The members of a JSON object."""

    def missing(self, name: str) -> SqsError:
        return missing(name)

    def wrong_type(self, name: str, wanted: str) -> SqsError:
        return _wrong_type(name, wanted)

    def out_of_range(self, name: str, value: int, reason: str) -> SqsError:
        return invalid_value(name, value, reason)

    def entries(self) -> list[tuple[str, SqsParameters]]:
        """The entries of a batch, with their ids.

        Raises:
            SqsError: none, too many, or an id that is missing, repeated or not allowed.
        """
        found = self._members.get("Entries")
        if found is None:
            raise self.missing("Entries")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.wrong_type("Entries", "a list of objects")
        if not found:
            raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.")
        if len(found) > _MAX_ENTRIES:
            what = f"Maximum number of entries per request are {_MAX_ENTRIES}. You have sent {len(found)}."
            raise SqsError("TooManyEntriesInBatchRequest", what)
        entries = [(SqsParameters(each).text("Id"), SqsParameters(each)) for each in found]
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

    def queue_account_and_name(self) -> tuple[str | None, str]:
        """The account and the name in a queue's URL, with any host.

        AWS accepts the name in place of the URL, so it is accepted here, without an account.
        """
        url = self.text("QueueUrl")
        try:
            parts = [part for part in urlsplit(url).path.split("/") if part]
        except ValueError:
            parts = []
        if not parts or len(url) > 1000:
            raise SqsError("InvalidAddress", f"The address {url[:100]} is not valid for this endpoint.")
        return (parts[-2] if len(parts) > 1 else None), parts[-1]

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
            raise self.wrong_type("DelaySeconds", "a whole number")
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
                raise self.wrong_type(shown, "an object")
            members = SqsParameters(found)
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
