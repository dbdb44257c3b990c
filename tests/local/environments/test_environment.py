"""The outcome of an invocation, in the words of the log."""

from __future__ import annotations

import json

from lattice_bridge.local.environments.environment import InvocationResult


def test_description_of_an_error_is_the_first_line_of_its_message() -> None:
    """Node.js puts its require stack into the message, and the process has printed that."""
    error = {
        "errorType": "Runtime.ImportModuleError",
        "errorMessage": "Cannot find module 'a'\nRequire stack:\n- /a.js",
    }
    result = InvocationResult(json.dumps(error).encode(), error="Unhandled")
    assert result.description == "Runtime.ImportModuleError: Cannot find module 'a'"
