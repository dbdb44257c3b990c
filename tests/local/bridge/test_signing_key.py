"""The keys that sign tokens for the local stack."""

from __future__ import annotations

import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge import TenantMap
from lattice_bridge.errors import InvalidMap
from lattice_bridge.identity.jwks import key_set_fault, parse_key_set
from lattice_bridge.identity.token import ALGORITHMS, Issuer, Profile, verify
from lattice_bridge.local.bridge.local_token import make_token
from lattice_bridge.local.bridge.signing_key import KID_PREFIX, KeyFault, algorithm_of, key_folder, local_key

DIRECTORY: Final = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "keys"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that several tests use, since an RSA key takes a second."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    return path


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_token_by_the_only_algorithm_of_an_issuer_verifies(algorithm: str, made: Path, project: Path) -> None:
    issuer = Issuer("corp", "https://issuer.example", frozenset({"b", "a"}), frozenset({algorithm}))
    key = local_key(algorithm_of(issuer), made, project)
    keys = parse_key_set(json.dumps({"keys": [key.public]}).encode())
    token = make_token(issuer, key, {"tenant": "blue"}, now=time.time())
    assert verify(token, issuer, keys.get, time.time())["tenant"] == "blue"
    assert key.kid.startswith(KID_PREFIX)


@pytest.mark.parametrize(
    ("profile", "issuer"),
    [
        ("auth0", "https://corp.example/"),
        ("okta", "https://corp.example/oauth2/default"),
        ("cognito", "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A"),
        ("entra", f"https://login.microsoftonline.com/{DIRECTORY}/v2.0"),
        ("entra", f"https://sts.windows.net/{DIRECTORY}/"),
    ],
)
def test_token_has_the_claims_of_its_issuers_profile(
    profile: Profile, issuer: str, folder: Path, project: Path
) -> None:
    corp = Issuer("corp", issuer, frozenset({"orders"}), frozenset({"ES256"}), profile=profile)
    key = local_key("ES256", folder, project)
    token = make_token(corp, key, {}, now=time.time(), subject="ann")
    assert verify(token, corp, lambda _: key.verifying, time.time())["sub"] == "ann"


def test_key_is_made_once_and_is_its_owners_alone(folder: Path, project: Path) -> None:
    """Trap G7: also if several processes make it at the same time."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: local_key("ES256", folder, project), range(8)))
    assert len({key.kid for key in keys}) == 1
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "rivate" not in repr(keys[0])


def test_private_key_is_refused_as_a_key_set(made: Path, project: Path) -> None:
    """Trap G6: packaging and `check` read a map's key files with the same check as the bridge."""
    local_key("RS256", made, project)
    pem = (made / "RSA.pem").read_bytes()
    assert "private key" in (key_set_fault(pem) or "")
    (project / "keys.json").write_bytes(pem)
    table = '[tenants]\n[jwt.corp]\nissuer = "https://a.example"\naudience = ["a"]\njwks_file = "keys.json"\n'
    with pytest.raises(InvalidMap, match="private key") as caught:
        TenantMap.from_toml(table, project)
    assert pem.decode().splitlines()[1] not in str(caught.value)


def test_folder_within_the_project_is_refused(project: Path) -> None:
    """Trap G6: a project's files are packaged and shared."""
    (project / "link").symlink_to(project / ".cache")
    for folder in (project / ".cache" / "keys", project / "link" / "keys"):
        with pytest.raises(KeyFault, match=r"would be in the project .* Fix: set XDG_CACHE_HOME"):
            local_key("ES256", folder, project)
    assert [path.name for path in project.iterdir()] == ["link"]


def test_key_that_others_can_read_is_refused(folder: Path, project: Path) -> None:
    local_key("ES256", folder, project)
    (folder / "ES256.pem").chmod(0o640)
    with pytest.raises(KeyFault, match=r"other users can read or replace this key\. Fix: remove it"):
        local_key("ES256", folder, project)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "not a private key for ES256"), (None, "Fix: make the folder writable")]
)
def test_file_that_is_no_key_is_refused(content: bytes | None, message: str, folder: Path, project: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "ES256.pem"
    if content is None:
        path.symlink_to(project / "planted.pem")
    else:
        path.touch(mode=0o600)
    with pytest.raises(KeyFault, match=message):
        local_key("ES256", folder, project)


def test_key_of_another_kind_is_refused(folder: Path, project: Path) -> None:
    local_key("ES384", folder, project)
    (folder / "ES384.pem").rename(folder / "ES256.pem")
    with pytest.raises(KeyFault, match="not a private key for ES256"):
        local_key("ES256", folder, project)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.cache/lattice-bridge/local-issuer"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "/c"}, "/c/lattice-bridge/local-issuer"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "relative"}, "/home/ann/.cache/lattice-bridge/local-issuer"),
    ],
)
def test_folder_is_the_users_cache(environ: dict[str, str], expected: str) -> None:
    assert str(key_folder(environ)) == expected


def test_user_without_a_home_has_no_folder() -> None:
    with pytest.raises(KeyFault, match="Fix: set HOME or XDG_CACHE_HOME"):
        key_folder({})
