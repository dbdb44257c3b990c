"""Configurations as packaging ships them: bridge.toml with what it compiles to beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document

SHIPPED = Path(__file__).resolve().parent.parent / "bridge.toml"
FUNCTION = "counter-isolated:live"
SENDER = "AROAIENQZJOLO23YVJ4VO"
"""The unique id of the role that sends messages."""
ISSUER = "https://issuer.example"
TENANTS, ACCOUNTS = 10_000, 500
UNZIPPED = 315_532_800
"""The first second of 1980, which zip files begin with."""

PREFIXED = 20
"""One rule in as many is for the roles of a team, the others for one role."""


def shipped(folder: Path) -> Path:
    """The repository's own configuration."""
    return _packaged(folder, "")


def with_issuer(folder: Path) -> Path:
    """A configuration with a rule for tokens. The issuer's private key is beside it."""
    folder.mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    algorithm: Any = jwt.get_algorithm_by_name("RS256")
    public = {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k1"}
    private = algorithm.to_jwk(key, as_dict=True)
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    (folder / "private.json").write_text(json.dumps(private), encoding="utf-8")
    return _packaged(
        folder,
        f'[jwt.corp]\nissuer = "{ISSUER}"\naudience = ["orders"]\nalgorithms = ["RS256"]\njwks_file = "keys.json"\n'
        '[[rule]]\nid = "corp"\njwt = "corp"\ntenant_from = "claim"\nclaim = ["tenant"]\n',
    )


def with_tenants(folder: Path, number: int) -> Path:
    """A configuration for a number of tenants, each with a role of its own."""
    tenants = "".join(f"[tenants.tenant-{one}]\n" for one in range(number))
    rules = "".join(_rule(f"api-{one}", f"arn:aws:iam::111122223333:role/api-{one}", one) for one in range(number))
    return _packaged(folder, tenants + rules)


def with_rules(folder: Path, number: int) -> Path:
    """A configuration with a number of rules, including the repository's own."""
    own = SHIPPED.read_text(encoding="utf-8").count("[[rule]]")
    tenants = "".join(f"[tenants.tenant-{one}]\n" for one in range(min(number, TENANTS)))
    rules = []
    for one in range(number - own):
        name = f"service-{one}" if one % PREFIXED else f"team-{one}-*"
        rules.append(_rule(f"rule-{one}", f"arn:aws:iam::{one % ACCOUNTS:012d}:role/{name}", one % TENANTS))
    return _packaged(folder, tenants + "".join(rules))


def with_source(folder: Path, arn: str, concurrency: int) -> Path:
    """A configuration with a queue, a stream or a table. A record chooses one of the tenants that its rule allows."""
    claim, anchor = _CLAIMS[arn.split(":")[2]]
    return _packaged(
        folder,
        f'[[event_source]]\narn = "{arn}"\nfunction = "{FUNCTION}"\nconcurrency = {concurrency}\n{claim}\n'
        f'[[rule]]\nid = "records"\n{anchor.format(arn=arn)}\ntenants = ["BlueTenant", "GreenTenant"]\n',
    )


_BLOCK: Final = 'on_poison = "block"'
_ONLY: Final = 'source = "{arn}"\naccept_risk = "the only producer is this benchmark"'
_CLAIMS: Final[Mapping[str, tuple[str, str]]] = {
    "sqs": ('claim = { from = "attribute", name = "tenant" }', f'sender = {{{{ role_id = "{SENDER}" }}}}'),
    "kinesis": (f'claim = {{ from = "body", path = ["tenant"] }}\n{_BLOCK}', _ONLY),
    "dynamodb": (f'claim = {{ from = "key", name = "tenant" }}\n{_BLOCK}', _ONLY),
}
"""Service → what the event source has beside its ARN, and the anchor of the rule."""


def _rule(name: str, role: str, tenant: int) -> str:
    return f'[[rule]]\nid = "{name}"\nrole = "{role}"\ntenant = "tenant-{tenant}"\n'


def _packaged(folder: Path, more: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = f"{SHIPPED.read_text(encoding='utf-8')}\n{more}"
    (folder / "bridge.toml").write_text(text, encoding="utf-8")
    (folder / "bridge.json").write_text(compile_document(parse_document(text), folder), encoding="utf-8")
    for path in folder.iterdir():  # as unzipped: the bridge waits for a file that was written just now
        os.utime(path, (UNZIPPED, UNZIPPED))
    return folder
