"""cfn-lint in the process of the tests: as a command, it takes seconds to start.

Rule: only a test that calls it imports it, which takes a second. Every process of the tests imports every test file.
"""

from __future__ import annotations

from typing import Any


def lint(text: str) -> list[Any]:
    """What cfn-lint finds in a template."""
    from cfnlint.api import ManualArgs, lint

    return list(lint(text, config=ManualArgs(regions=["us-east-1"])))
