"""Small maps for the tests of reviews and commands: two tenants, and rules that a test writes itself."""

from __future__ import annotations

from typing import Final

from tests.support.builders import ACCOUNT

HEAD: Final = "[tenants]\nblue = {}\ngreen = {}\n"
ROLE: Final = f'role = "arn:aws:iam::{ACCOUNT}:role/'
"""The beginning of an anchor; the role's name follows."""


def rule(id_: str, body: str) -> str:
    """A `[[rule]]` with its other lines."""
    return f'[[rule]]\nid = "{id_}"\n{body}\n'


BOTH: Final = rule("both", f'{ROLE}both"\ntenants = ["blue", "green"]')
