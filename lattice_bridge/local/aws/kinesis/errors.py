"""The errors of Kinesis.

Source: the API reference of Kinesis 2013-12-02, and the answers of AWS that kinesalite and moto recorded. Texts with a
`Fix:` are this stack's own.
"""

from __future__ import annotations

from typing import Final

from lattice_bridge.local.web.printable import printable

_SHOWN: Final = 300
"""Characters of a value."""

INVALID: Final = "InvalidArgumentException"
NOT_FOUND: Final = "ResourceNotFoundException"


class KinesisError(Exception):
    """A request that Kinesis refuses. The message is for the caller, whose tool writes it to a terminal.

    Attributes:
        name: of the error, as in `ResourceNotFoundException`.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(printable(message))
        self.name = name


def invalid(message: str) -> KinesisError:
    """The error for a parameter that the operation cannot accept."""
    return KinesisError(INVALID, message)


def constraint(parameter: str, value: object, reason: str) -> KinesisError:
    """The error for a parameter that is not as the API describes it. A long value is shortened.

    Args:
        parameter: as in `StreamName`; AWS writes its first letter small.
        value: as sent.
        reason: as in `Member must not be null`.
    """
    text = "null" if value is None else f"'{value}'"
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…'"
    where = parameter[:1].lower() + parameter[1:]
    what = f"1 validation error detected: Value {shown} at '{where}' failed to satisfy constraint: {reason}"
    return KinesisError("ValidationException", what)


def missing(parameter: str) -> KinesisError:
    """The error for a parameter that is required."""
    return constraint(parameter, None, "Member must not be null")


def no_stream(name: str, account: str) -> KinesisError:
    """There is no stream with this name."""
    return KinesisError(NOT_FOUND, f"Stream {name[:_SHOWN]} under account {account} not found.")


def full(mebibytes: int) -> KinesisError:
    """The error for a record, or a shard, that does not fit into the memory of all streams.

    SDKs repeat a request with it, as they do on AWS when a shard gets too much.
    """
    return KinesisError(
        "ProvisionedThroughputExceededException",
        f"this local stack keeps {mebibytes} MiB of records in all its streams. Fix: delete streams, or lower their "
        "retention period",
    )
