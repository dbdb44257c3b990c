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

import pytest

from lattice_bridge.cli.local_commands import commands
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
def stack(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
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


def test_caller_that_the_map_names_signs_in_a_test(stack: LocalStack) -> None:
    assert stack.get("/", identity="LOCALBLUEAPI").json() == {"tenant": "blue"}
    with pytest.raises(KeyError):
        stack.get("/", identity="LOCALGREENAPI")


def test_changed_files_are_active_as_a_whole_or_not_at_all(project: Path, stack: LocalStack) -> None:
    """One test, since each change takes two seconds."""
    template, answer = project / "template.yaml", {"x-tenant-id": "blue"}
    good = template.read_text()
    assert stack.get("/", answer).status == 401
    template.write_text(f"{good}\n[")
    assert said(stack, "changed: template.yaml; it does not load, so the old one stays active")
    assert stack.get("/", answer).status == 401
    start = good.index("DefaultAction:")
    template.write_text(f"{good[:start]}DefaultAction: {{FixedResponse: {{StatusCode: 404}}}}\n")
    assert said(stack, "changed: template.yaml; active now")
    assert stack.get("/", answer).status == 404
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
