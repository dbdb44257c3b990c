"""`lattice-bridge local`, up to the point where it would serve: packages that cannot be provided."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from lattice_bridge.cli.local import with_packages
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.code.dependencies import BadDependencies, choose
from lattice_bridge.local.log_writer import LogWriter
from lattice_bridge.local.plan.readers.template import read_plan
from tests.support.commands import read
from tests.support.stack import ONE_FUNCTION


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "template.yaml").write_text(ONE_FUNCTION)
    (tmp_path / "app.py").touch()
    return tmp_path / "template.yaml"


def test_list_of_packages_that_cannot_be_read_ends_the_start(template: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r gone\x1b[2J.txt\n")
    done = read("local", "-t", str(template))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: Function: {tmp_path}/gone\\x1b[2J.txt: No such file or directory. Fix: ")


def test_failed_installation_shows_the_lines_of_pip(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip itself, which refuses a folder that does not exist without asking an index."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "requirements.txt").write_text("./gone\n")
    plan = read_plan(read_template(template, {}, "us-east-1"))
    with (
        (tmp_path / "log").open("w") as stream,
        closing(LogWriter(stream, as_json=True)) as log,
        pytest.raises(BadDependencies) as caught,
    ):
        with_packages(choose(plan, print, reload=False), log, install=True)
    first, *middle, last = str(caught.value).splitlines()
    assert first == f"Function: the packages of {tmp_path}/requirements.txt cannot be installed:"
    assert all(line.startswith("ERROR: ") for line in middle)
    assert "./gone" in middle[0]
    assert last == "Fix: correct the file, or start with --no-install"
    assert list((tmp_path / "cache" / "lattice-bridge" / "packages").iterdir()) == []
    (line,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (line["installing"], line["message"].partition(":")[0]) == (True, "Function")


def test_function_at_a_url_is_in_the_plan(template: Path) -> None:
    given = ("local", "-t", str(template), "--plan", "--function", "Function=http://127.0.0.1:9002")
    done = read(*given)
    assert (done.exit_code, done.stderr) == (0, "")
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("Function ")]
    assert row.split() == ["Function", "python3.13", "http://127.0.0.1:9002", "3", "s"]
    assert json.loads(read(*given, "--json").stdout)["functions"]["Function"]["url"] == "http://127.0.0.1:9002"


def test_plan_says_that_the_tenants_of_a_function_at_a_url_share_it(template: Path) -> None:
    isolated = ONE_FUNCTION.replace("Handler:", "TenancyConfig: {TenantIsolationMode: PER_TENANT}, Handler:")
    template.write_text(isolated, encoding="utf-8")
    done = read("local", "-t", str(template), "--plan", "--function", "Function=http://127.0.0.1:9002")
    assert (
        "Function: its tenants share the process at http://127.0.0.1:9002, which receives the tenant id" in done.stdout
    )


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["Function"], "--function Function: no value. Fix: write NAME=URL"),
        (["Function=http://a"], '--function Function: "http://a" is not an http URL on this machine. Fix: write http'),
        (["Function=http://127.0.0.1:1"] * 2, "--function: a function occurs twice. Fix: write each once"),
        (["F\x1b=http://127.0.0.1:1"], '--function "F\\u001b": the template has no such function'),
    ],
)
def test_function_at_a_url_that_cannot_be_used_is_a_usage_error(template: Path, given: list[str], fault: str) -> None:
    done = read("local", "-t", str(template), "--plan", *(word for pair in given for word in ("--function", pair)))
    assert (done.exit_code, done.stdout) == (2, "")
    assert fault in " ".join(done.stderr.split())


def test_faults_of_local_toml_are_a_usage_error(template: Path, tmp_path: Path) -> None:
    (tmp_path / "local.toml").write_text("[local.runtimes]\njava = 1\n[local.ids]\nA = 1\n", encoding="utf-8")
    done = read("local", "-t", str(template), "--plan")
    assert done.exit_code == 2
    assert [line.split(": ")[-2] for line in done.stderr.splitlines() if "local.toml:" in line] != []


def test_output_of_sam_build_that_is_not_used_is_a_line_of_the_plan(template: Path, tmp_path: Path) -> None:
    output = tmp_path / ".aws-sam" / "build"
    (output / "Function").mkdir(parents=True)
    (output / "template.yaml").write_text(ONE_FUNCTION.replace("Handler:", "CodeUri: Function, Handler:"))
    os.utime(output / "template.yaml", (1, 1))
    done = read("local", "-t", str(template), "--plan")
    assert "Function: the output of `sam build` is not used: " in done.stdout
