"""The cost that a token adds to a decision, compared with a bare `jwt.decode` of the same tokens.

Rounds are interleaved and CPU time is counted, not the clock's: the machine is shared.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from benchmarks.cpu import in_turns
from benchmarks.section import Bench, Section
from benchmarks.table import Table
from lattice_bridge import Caller, Request, TenantMap
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.identity.token import CACHE_SIZE

ROUNDS, CALLS = 15, 300
POOL: Final = CACHE_SIZE + 100
"""Distinct tokens, used in turn: more than the cache keeps, so that each is verified again."""

ISSUER: Final = "https://issuer.example"
PEER: Final = "bare jwt.decode, RS256"
MAP: Final = f"""
[tenants]
blue = {{}}
green = {{}}

[jwt.corp]
issuer = "{ISSUER}"
audience = ["orders"]
algorithms = ["RS256", "ES256"]
jwks_file = "keys.json"

[[rule]]
id = "blue-api"
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "blue"

[[rule]]
id = "corp"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]
"""


def tenant_map(keys: dict[str, Any]) -> TenantMap:
    """A map whose issuer has these private keys, by algorithm."""
    public = [
        {**jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True), "kid": name}
        for name, key in keys.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "keys.json").write_text(json.dumps({"keys": public}))
        found = TenantMap.from_toml(MAP, Path(folder))
        for name, key in keys.items():
            assert found.decide(request(token(key, name, 0))).tenant == "blue"  # reads the file, which then goes
    return found


def token(key: Any, algorithm: str, number: int) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "orders", "iat": now, "exp": now + 3600, "sub": f"u-{number}", "tenant": "blue"}
    return jwt.encode(claims, key, algorithm, {"kid": algorithm})


def request(bearer: str | None = None) -> Request:
    """By an IAM role alone, or with a token as well."""
    principal = parse_arn("arn:aws:sts::111122223333:assumed-role/blue-api/i-0123456789")
    caller = Caller(authenticated=True, iam=principal, session_name=principal.session)
    headers = (("host", "h"), ("accept", "*/*"), *((("authorization", f"Bearer {bearer}"),) if bearer else ()))
    return Request(version=2, method="GET", path="/", headers=headers, caller=caller)


def deciding(found: TenantMap, requests: list[Request]) -> Callable[[], object]:
    turns: Iterator[Request] = cycle(requests)
    assert all(found.decide(one).allowed for one in requests)
    return lambda: found.decide(next(turns))


def decoding(tokens: list[str], key: Any) -> Callable[[], object]:
    """The peer, with the checks that the bridge makes as well."""
    turns, public = cycle(tokens), key.public_key()
    options: Any = {"require": ["exp", "iat", "iss", "aud"]}
    return lambda: jwt.decode(
        next(turns), public, algorithms=["RS256"], audience=["orders"], issuer=ISSUER, leeway=30, options=options
    )


def contenders() -> dict[str, Callable[[], object]]:
    keys: dict[str, Any] = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }
    tokens = {name: [token(key, name, number) for number in range(POOL)] for name, key in keys.items()}
    # A map each: tokens of one kind would push those of another out of its memory.
    return {
        "IAM principal alone": deciding(tenant_map(keys), [request()]),
        "and a fresh RS256 token": deciding(tenant_map(keys), [request(one) for one in tokens["RS256"]]),
        "and a fresh ES256 token": deciding(tenant_map(keys), [request(one) for one in tokens["ES256"]]),
        "and a remembered token": deciding(tenant_map(keys), [request(tokens["RS256"][0])]),
        PEER: decoding(tokens["RS256"], keys["RS256"]),
    }


def run(bench: Bench) -> Section:
    number, rounds = 20 if bench.quick else CALLS, bench.few(ROUNDS)
    rows = in_turns(contenders(), PEER, rounds, number)
    columns = ("", "CPU µs, median", "range", "over jwt.decode")
    return Section([Table(f"A decision alone, with tokens, {rounds} rounds of {number}", columns, rows)])
