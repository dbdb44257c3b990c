"""The real stack with a map of its own: tokens, printed commands, and changes of its files while it runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from lattice_bridge.cli.local_commands import commands
from lattice_bridge.local.code.manifest import read_manifest
from lattice_bridge.local.code.package_cache import PackageCache, cache_folder
from lattice_bridge.local.definition import MapDoesNotLoad, read_definition, reread
from lattice_bridge.testing import LocalStack
from tests.support.paths import ROOT

MAP: Final = """
[[backend]]
function = "orders"
[tenants]
blue = {}
green = {}
[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
algorithms = ["ES256"]
jwks_url = "https://127.0.0.1:1/keys" # offline
[[rule]]
id = "staff"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]
[[rule]]
id = "blue-api"
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "blue"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "tests" / "stranger" / "bridge" / "orders", folder / "orders")
    text = (ROOT / "tests" / "stranger" / "bridge" / "template.yaml").read_text()
    (folder / "template.yaml").write_text(text.replace("!Ref AuthType", "NONE"))
    (folder / "bridge.toml").write_text(MAP)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def stack(project: Path, cache: Path) -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(cache))
        environment.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        with LocalStack(project / "template.yaml", options=["--reload"]) as stack:
            yield stack


def said(stack: LocalStack, *words: str) -> bool:
    """Waits for a line of the stack that contains the words."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        messages = [str(line.get("message", "")) for line in list(stack.process.lines)]
        if any(all(word in message for word in words) for message in messages):
            return True
        time.sleep(0.02)
    raise AssertionError(f"{words} not in {stack.process.lines}")


def printed(project: Path, stack: LocalStack) -> list[str]:
    definition = read_definition(project / "template.yaml", {}, "us-east-1")
    lines = commands(definition, stack.url, stack.lambda_url)
    return [line.strip() for line in lines if line.startswith("  curl ")]


def test_printed_commands_work_when_they_are_pasted(project: Path, stack: LocalStack) -> None:
    """Trap G7: a token of the local key is accepted by the stack, although the issuer is out of reach."""
    lines = printed(project, stack)
    assert ["--aws-sigv4" in line for line in lines] == [True, False]
    for line in lines:
        pasted = ["bash", "-c", f"{line} --silent --max-time 30"]
        answer = subprocess.run(pasted, cwd=project, capture_output=True, check=True)
        assert json.loads(answer.stdout) == {"tenant": "blue"}, answer
    assert said(stack, "corp: the issuer's own keys are not available")


def test_changed_map_that_does_not_load_is_not_called_harmless(project: Path, tmp_path: Path) -> None:
    """The old map does not stay active: the bridge restarts with the file, and answers 503."""
    folder = shutil.copytree(project, tmp_path / "project")
    (folder / "bridge.toml").write_text(MAP.replace('tenant = "blue"', 'tenant = "bleu"'))
    with pytest.raises(MapDoesNotLoad, match='tenant "bleu" is not in') as caught:
        reread(lambda: read_definition(folder / "template.yaml", {}, "us-east-1"), lambda found: found)
    assert "503" in caught.value.consequence
    assert {name: len(faults) for name, faults in caught.value.faults.items()} == {"Bridge": 1}


def test_caller_that_the_map_names_signs_in_a_test(stack: LocalStack) -> None:
    assert stack.get("/", identity="LOCALBLUEAPI").json() == {"tenant": "blue"}
    with pytest.raises(KeyError):
        stack.get("/", identity="LOCALGREENAPI")


def test_changed_files_are_active_as_a_whole_or_not_at_all(project: Path, stack: LocalStack) -> None:
    """Trap G1: also the host names that every port admits. One test, since each change takes two seconds."""
    template, answer = project / "template.yaml", {"x-tenant-id": "blue"}
    named = {**answer, "host": "shop.example.com"}
    good = template.read_text()
    assert stack.get("/", answer).status == 401
    template.write_text(f"{good}\n[")
    assert said(stack, "changed: template.yaml; it does not load, so the old one stays active")
    assert stack.get("/", answer).status == 401
    assert stack.get("/", named).status == 403
    start = good.index("DefaultAction:")
    changed = f"{good[:start]}DefaultAction: {{FixedResponse: {{StatusCode: 404}}}}\n"
    template.write_text(changed.replace("AuthType: NONE", "AuthType: NONE, CustomDomainName: shop.example.com"))
    assert said(stack, "changed: template.yaml; active now")
    assert [stack.get("/", headers).status for headers in (answer, named)] == [404, 404]
    template.write_text(good)
    identity = (
        '[[identity]]\naccess_key = "MINE"\nsecret_key = "s"\nprincipal = "arn:aws:iam::111122223333:role/blue-api"\n'
    )
    (project / "identities.toml").write_text(identity)
    (project / "bridge.toml").write_text(MAP.replace('tenant = "blue"', 'tenant = "green"'))
    assert said(stack, "identities.toml", "active now")
    (signed, _) = printed(project, stack)
    assert "--user MINE:s" in signed
    found = subprocess.run(["bash", "-c", f"{signed} --silent"], capture_output=True, check=True)
    assert json.loads(found.stdout) == {"tenant": "green"}
    assert stack.get("/", named).status == 403


def installs(requirements: Path, target: Path, folder: Path) -> None:
    (target / "listed.py").write_text("PLACE = 'listed'")


def test_changed_packages_and_zips_take_the_steps_of_the_start(project: Path, cache: Path, stack: LocalStack) -> None:
    """With an environment in the cache already, so that nothing is asked of a package index."""
    app, listed = project / "orders" / "app.py", project / "orders" / "requirements.txt"
    listed.write_text("./gone\n")
    assert said(stack, "changed: requirements.txt; it does not load, so the old one stays active: orders: the packages")
    assert said(stack, "Fix: correct the file, or start with --no-install")
    assert stack.get("/", identity="LOCALBLUEAPI").status == 200
    (project / "same.txt").write_text("listed==1\n")
    same = read_manifest(project / "same.txt")
    PackageCache(cache_folder({"XDG_CACHE_HOME": str(cache)}), installs, print).make(same, "orders")
    listed.write_text("listed==1\n")
    assert said(stack, "changed: requirements.txt; active now; ", "will restart")
    app.write_text("import listed\ndef handler(event, context):\n    return {'body': listed.PLACE}\n")
    assert said(stack, "changed: app.py")
    assert "listed" in stack.get("/", identity="LOCALBLUEAPI").text
    (project / "orders.zip").write_bytes(b"no zip")
    template = project / "template.yaml"
    template.write_text(template.read_text().replace("CodeUri: orders", "CodeUri: orders.zip"))
    assert said(stack, "changed: template.yaml; it does not load", "orders.zip")
    assert "listed" in stack.get("/", identity="LOCALBLUEAPI").text
    with ZipFile(project / "orders.zip", "w") as opened:
        opened.writestr("app.py", "def handler(event, context):\n    return {'body': __file__}\n")
    assert said(stack, "changed: orders.zip; active now")
    assert "lattice-bridge-stack-" in stack.get("/", identity="LOCALBLUEAPI").text
