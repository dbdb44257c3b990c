"""Maps as the inspector reads them from a bridge's folder, for tests of the decision and of `[[test]]` tables."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lattice_bridge.local.bridge.configuration import BridgeConfiguration, read_configuration
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function
from tests.support.builders import ACCOUNT, VPC
from tests.support.token_builder import ISSUER, jwk, key_set

BACKEND: Final = '[[backend]]\nfunction = "orders"\n'
CONDITION: Final = f'[[rule]]\nid = "job"\nrole = "arn:aws:iam::{ACCOUNT}:role/job"\nvpc = "{VPC}"\ntenant = "blue"\n'
USERS: Final = (
    f'[jwt.corp]\nissuer = "{ISSUER}"\naudience = ["orders"]\nalgorithms = ["ES256"]\njwks_file = "keys.json"\n'
    '[[rule]]\nid = "users"\njwt = "corp"\ntenant_from = "claim"\nclaim = ["tenant"]\n'
)


def configured(folder: Path, text: str) -> BridgeConfiguration:
    """Writes a map, with the keys of its issuer beside it, and reads it as that of a bridge."""
    (folder / "bridge.toml").write_text(text, encoding="utf-8")
    (folder / "keys.json").write_bytes(key_set(jwk()))
    found = read_configuration(Function("Bridge", "arn", BRIDGE_HANDLER, folder, {}))
    assert found.settings is not None, found.faults
    return found
