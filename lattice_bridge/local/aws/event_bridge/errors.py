"""The errors of EventBridge.

Source: the API reference of EventBridge 2015-10-07, and answers that LocalStack's tests recorded on AWS.
"""

from __future__ import annotations

from lattice_bridge.local.aws.protocol import AwsError
from lattice_bridge.local.web.printable import printable


def refused(code: str, message: str) -> AwsError:
    """A request that EventBridge refuses. The message is for the caller, whose tool writes it to a terminal."""
    return AwsError(400, code, printable(message))


def invalid(message: str) -> AwsError:
    """A request whose parameters are wrong."""
    return refused("ValidationException", message)


def no_bus(name: str) -> AwsError:
    """A bus that does not exist."""
    return refused("ResourceNotFoundException", f"Event bus {name} does not exist.")


def no_rule(name: str, bus: str) -> AwsError:
    """A rule that does not exist."""
    return refused("ResourceNotFoundException", f"Rule {name} does not exist on EventBus {bus}.")


class EntryRefused(Exception):
    """An entry of PutEvents that EventBridge refuses.

    Attributes:
        code: `ErrorCode` of the entry.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(printable(message))
        self.code = code
