"""The errors of DynamoDB and of its streams.

Source: the API references of DynamoDB and DynamoDB Streams 2012-08-10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.local.web.printable import printable

PREFIX: Final = "com.amazonaws.dynamodb.v20120810#"


class DynamoDbError(Exception):
    """A request that DynamoDB refuses. The message is for the caller, whose tool writes it to a terminal.

    Attributes:
        name: of the error, as in `ResourceNotFoundException`.
        status: of the HTTP response.
        members: what the error contains beside its message, such as `Item` or `CancellationReasons`.
    """

    def __init__(self, name: str, message: str, *, status: int = 400, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(printable(message))
        self.name = name
        self.status = status
        self.members = members or {}


class NotHere(DynamoDbError):
    """An operation, or a part of one, that the local stack does not have."""

    def __init__(self, message: str) -> None:
        super().__init__("NotImplemented", message, status=501)


class NotInstalled(NotHere):
    """moto is missing, by which the local stack emulates tables."""

    def __init__(self) -> None:
        super().__init__(f"DynamoDB: {MISSING}")


MISSING: Final = "moto from 5.2.5, which emulates tables, is not installed. Fix: pip install 'lattice-bridge[dynamodb]'"


def invalid(message: str) -> DynamoDbError:
    """The error for a request whose parameters do not fit."""
    return DynamoDbError("ValidationException", message)


def not_found(what: str) -> DynamoDbError:
    """The error for a table, a stream or a shard that is not there."""
    return DynamoDbError("ResourceNotFoundException", f"Requested resource not found: {what[:300]} not found")
