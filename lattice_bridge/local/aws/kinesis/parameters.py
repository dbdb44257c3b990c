"""The parameters of an operation of Kinesis, from JSON or CBOR."""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Final

from lattice_bridge.local.aws.cbor import Timestamp
from lattice_bridge.local.aws.kinesis.errors import KinesisError, constraint, invalid, missing
from lattice_bridge.local.aws.kinesis.stream import HASH_KEYS
from lattice_bridge.local.aws.parameters import Parameters

MOST_DATA: Final = 10 * 1024 * 1024
"""Bytes of a record, and of the records of PutRecords together."""
_MOST_ENTRIES: Final = 500
_HASH_KEY: Final = re.compile(r"0|[1-9]\d{0,38}", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9]\d{0,128}", re.ASCII)
_ARN: Final = re.compile(r"arn:aws[^:]{0,40}:kinesis:[^:]{0,40}:\d{12}:stream/(\S{1,128})", re.ASCII)


class KinesisParameters(Parameters):
    """The members of an object."""

    def missing(self, name: str) -> KinesisError:
        return missing(name)

    def wrong_type(self, name: str, wanted: str) -> KinesisError:
        return KinesisError("SerializationException", f"The parameter {name} is not {wanted}.")

    def out_of_range(self, name: str, value: int, reason: str) -> KinesisError:
        return constraint(name, value, reason)

    def optional_text(self, name: str) -> str | None:
        """A string of Unicode, or None."""
        value = super().optional_text(name)
        if value is not None and not _is_unicode(value):
            raise self.wrong_type(name, "a string of Unicode")
        return value

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number in a range, or None."""
        return self.number(name, least, most, f"Member must have a value from {least} to {most}")

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        """One of some strings, or None."""
        value = self.optional_text(name)
        if value is not None and value not in choices:
            raise constraint(name, value, f"Member must satisfy enum value set: [{', '.join(choices)}]")
        return value

    def inner(self, name: str) -> KinesisParameters | None:
        """An object, or None."""
        return KinesisParameters(self.object(name)) if self.has(name) else None

    def moment(self, name: str) -> float | None:
        """A time in seconds since the epoch, or None."""
        value = self._members.get(name)
        if isinstance(value, Timestamp):
            value = value.seconds
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong_type(name, "a time in seconds since the epoch")
        return float(value) if abs(value) < 1e12 else math.copysign(1e12, value)

    # ---- parts of Kinesis -------------------------------------------------------------------------------------------

    def stream_name(self, arn_name: str = "StreamARN") -> str:
        """The name in StreamName or an ARN.

        Args:
            arn_name: of the parameter with the ARN.

        Raises:
            KinesisError: neither, an ARN of another form, or one with another name.
        """
        name, arn = self.optional_text("StreamName"), self.optional_text(arn_name)
        if arn is None:
            if name is None:
                raise invalid("StreamName or StreamARN is required. Fix: send one of them")
            return name
        match = _ARN.fullmatch(arn)
        if match is None:
            raise constraint(arn_name, arn, f"Member must satisfy regular expression pattern: {_ARN.pattern}")
        if name not in (None, match[1]):
            raise invalid(f"{arn_name} is of the stream {match[1]}, and StreamName is {name}. Fix: send one of them")
        return match[1]

    def hash_key(self, name: str) -> int | None:
        """A hash key, or None."""
        text = self.optional_text(name)
        if text is None:
            return None
        if _HASH_KEY.fullmatch(text) is None:
            raise constraint(name, text, f"Member must satisfy regular expression pattern: {_HASH_KEY.pattern}")
        if int(text) >= HASH_KEYS:
            raise invalid(f"Invalid {name}. {name} must be in the range: [0, 2^128-1]. Specified value was {text}")
        return int(text)

    def sequence_number(self, name: str) -> str | None:
        """A sequence number, or None."""
        text = self.optional_text(name)
        if text is not None and _NUMBER.fullmatch(text) is None:
            raise constraint(name, text, f"Member must satisfy regular expression pattern: {_NUMBER.pattern}")
        return text

    def partition_key(self) -> str:
        """`PartitionKey`."""
        text = self.text("PartitionKey")
        if not 1 <= len(text) <= 256:
            raise constraint("PartitionKey", text, "Member must have length from 1 to 256")
        return text

    def data(self) -> bytes:
        """`Data`: base64 in JSON, bytes in CBOR."""
        value = self._members.get("Data")
        if value is None:
            raise missing("Data")
        if isinstance(value, str):
            try:
                value = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                value = None
        if not isinstance(value, bytes):
            raise self.wrong_type("Data", "base64")
        if len(value) > MOST_DATA:
            reason = f"Member must have length less than or equal to {MOST_DATA}"
            raise constraint("Data", f"{len(value)} bytes", reason)
        return value

    def entries(self) -> list[KinesisParameters]:
        """The records of PutRecords."""
        found = self._members.get("Records")
        if found is None:
            raise missing("Records")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.wrong_type("Records", "a list of objects")
        if not 1 <= len(found) <= _MOST_ENTRIES:
            reason = f"Member must have length from 1 to {_MOST_ENTRIES}"
            raise constraint("Records", f"{len(found)} records", reason)
        return [KinesisParameters(each) for each in found]

    def tags(self) -> dict[str, str]:
        """`Tags`."""
        found = self.strings("Tags")
        for key, value in found.items():
            if not (_is_unicode(key) and _is_unicode(value)):
                raise self.wrong_type("Tags", "an object with strings of Unicode")
            if not 1 <= len(key) <= 128 or len(value) > 256:
                what = "A tag has a key of 1 to 128 characters and a value of 256 at most"
                raise constraint("Tags", key, what)
        return found


def _is_unicode(text: str) -> bool:
    """Whether a string can be encoded: JSON can have half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
