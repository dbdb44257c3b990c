"""The configuration that is packaged: checked, and without a secret."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.config.document import parse_document
from lattice_bridge.errors import InvalidMap
from lattice_bridge.packaging.configuration import configure
from lattice_bridge.packaging.contents import File
from lattice_bridge.testing import Issuer
from tests.support import builders

MAP: Final = f'[[backend]]\nfunction = "orders:live"\n{builders.MAP}'


def configured(folder: Path, to: Path) -> dict[str, File]:
    return configure((folder / "bridge.toml").read_text(encoding="utf-8"), folder, to)


def test_compiled_configuration_is_packaged(tmp_path: Path) -> None:
    found = configure(MAP, tmp_path, tmp_path)
    assert found == {name: File(tmp_path / name, "bridge.toml") for name in ("bridge.toml", "bridge.json")}
    text = (tmp_path / "bridge.toml").read_text(encoding="utf-8")
    assert text == MAP
    assert parse_document(text, (tmp_path / "bridge.json").read_text(encoding="utf-8")).compiled is not None


def test_map_of_an_authorizer_is_packaged_without_a_backend(tmp_path: Path) -> None:
    found = configure(f'[apigateway]\napis = ["a1b2c3d4e5"]\n{builders.MAP}', tmp_path, tmp_path)
    assert sorted(found) == ["bridge.json", "bridge.toml"]


def test_key_sets_of_the_configuration_are_packaged(tmp_path: Path) -> None:
    with_key_set(tmp_path, "./keys//corp.json")
    assert "keys/corp.json" in configured(tmp_path, tmp_path / "to")


@pytest.mark.parametrize("name", ["../corp.json", "keys/../../corp.json"])
def test_key_set_that_is_not_beside_the_map_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "map" / "keys").mkdir(parents=True)
    with_key_set(tmp_path / "map", name)
    assert f'jwt "corp": jwks_file "{name}" is not beside the map. Fix: ' in refusal(tmp_path / "map", tmp_path)


def test_key_set_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Trap G6: a file from elsewhere on the development machine would be deployed."""
    (tmp_path / "map").mkdir()
    with_key_set(tmp_path / "map", "corp.json")
    (tmp_path / "map" / "corp.json").rename(tmp_path / "elsewhere.json")
    (tmp_path / "map" / "corp.json").symlink_to("../elsewhere.json")
    said = 'jwt "corp": jwks_file "corp.json" is a symbolic link out of the folder of bridge.toml. Fix: '
    assert said in refusal(tmp_path / "map", tmp_path)


def test_key_set_in_a_linked_folder_elsewhere_is_refused(tmp_path: Path) -> None:
    """Trap G6."""
    (tmp_path / "map").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "map" / "keys").symlink_to("../elsewhere")
    with_key_set(tmp_path / "map", "keys/corp.json")
    assert "a symbolic link out of the folder" in refusal(tmp_path / "map", tmp_path)


def test_key_set_behind_a_link_within_the_folder_is_packaged_as_a_file(tmp_path: Path) -> None:
    with_key_set(tmp_path, "corp-2.json")
    (tmp_path / "corp.json").symlink_to("corp-2.json")
    text = (tmp_path / "bridge.toml").read_text(encoding="utf-8").replace("corp-2.json", "corp.json")
    configure(text, tmp_path, tmp_path / "to")
    packaged = tmp_path / "to" / "corp.json"
    assert (packaged.is_symlink(), packaged.read_bytes()) == (False, (tmp_path / "corp-2.json").read_bytes())


def test_key_set_with_the_name_of_another_packaged_file_is_refused(tmp_path: Path) -> None:
    with_key_set(tmp_path, "bridge.json")
    assert 'jwks_file "bridge.json" has the name of another packaged file' in refusal(tmp_path, tmp_path / "to")


@pytest.mark.parametrize(
    "secret",
    [{"kty": "EC", "crv": "P-256", "kid": "old", "d": "c2VjcmV0"}, {"kty": "oct", "kid": "old", "k": "c2VjcmV0"}],
    ids=["private", "symmetric"],
)
def test_key_set_with_a_private_key_is_not_packaged(tmp_path: Path, secret: dict[str, str]) -> None:
    """Trap G6."""
    with_key_set(tmp_path, "corp.json")
    keys = json.loads((tmp_path / "corp.json").read_text(encoding="utf-8"))["keys"]
    (tmp_path / "corp.json").write_text(json.dumps({"keys": [*keys, secret]}), encoding="utf-8")
    said = refusal(tmp_path, tmp_path / "to")
    assert 'jwt "corp": jwks_file "corp.json": contains private keys or secrets: key "old" has ' in said
    assert "c2VjcmV0" not in said


def test_private_key_in_pem_is_not_packaged(tmp_path: Path) -> None:
    """Trap G6."""
    with_key_set(tmp_path, "corp.json")
    (tmp_path / "corp.json").write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", encoding="utf-8")
    said = refusal(tmp_path, tmp_path / "to")
    assert 'jwt "corp": jwks_file "corp.json": contains a private key in PEM.' in said
    assert "c2VjcmV0" not in said


@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
def test_only_regular_key_files_are_packaged(tmp_path: Path, target: str) -> None:
    """Trap G4: a pipe would be waited for without end, and a device be read without end."""
    with_key_set(tmp_path, "corp.json")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "corp.json").unlink()
    (tmp_path / "corp.json").symlink_to(target)
    assert "not a regular file" in refusal(tmp_path, tmp_path / "to")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[rules]\n", "rules: unknown key"),
        ('{"format":1}\n', "changed after `lattice-bridge compile`"),
        (builders.MAP, "no [[backend]] and no [[event_source]]. Fix: "),
    ],
)
def test_configuration_that_does_not_load_is_not_packaged(tmp_path: Path, text: str, fault: str) -> None:
    """A bridge with such a package would answer 503 to every request."""
    (tmp_path / "bridge.toml").write_text(text, encoding="utf-8")
    assert fault in refusal(tmp_path, tmp_path / "to")


def test_configuration_with_event_sources_alone_is_packaged(tmp_path: Path) -> None:
    """A bridge may route records, and serve no requests."""
    source = '[[event_source]]\narn = "arn:aws:sqs:eu-west-1:111122223333:orders"\nfunction = "orders"\n'
    files = configure(f"{source}{builders.MAP}", tmp_path, tmp_path)
    assert set(files) == {"bridge.toml", "bridge.json"}


def test_compiled_configuration_is_refused(tmp_path: Path) -> None:
    configure(MAP, tmp_path, tmp_path / "once")
    (tmp_path / "bridge.toml").write_bytes((tmp_path / "once" / "bridge.json").read_bytes())
    assert "is compiled already" in refusal(tmp_path, tmp_path / "to")


def refusal(folder: Path, to: Path) -> str:
    """The faults of a folder's bridge.toml that is not packaged. Nothing is written then."""
    to.mkdir(exist_ok=True)
    before = sorted(to.rglob("*"))
    with pytest.raises(InvalidMap) as caught:
        configured(folder, to)
    assert sorted(to.rglob("*")) == before
    return "\n".join(caught.value.faults)


def with_key_set(folder: Path, name: str) -> None:
    """A bridge.toml whose issuer's keys are in a file."""
    with Issuer() as issuer:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(issuer.jwks), encoding="utf-8")
        text = MAP + issuer.table(jwks_url=None, jwks_file=name)
    (folder / "bridge.toml").write_text(text, encoding="utf-8")
