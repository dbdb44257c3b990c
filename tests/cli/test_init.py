"""`lattice-bridge init`: the project passes every check, and the command writes all of its files or none."""

from __future__ import annotations

import errno
import json
import shlex
import tomllib
from collections.abc import Callable
from contextlib import chdir
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner

from lattice_bridge.cli.init import FRAMEWORKS, project_files, write_project
from lattice_bridge.cli.root import root
from lattice_bridge.config.settings import Settings
from lattice_bridge.local.front.exchange.identities import read_identities
from lattice_bridge.testing import FakeLambda
from lattice_bridge.testing.builders import lattice_event
from lattice_bridge.testing.fixtures import BridgeFactory
from tests.support.commands import read, seen
from tests.support.paths import ROOT

VERSIONS: Final = ("V1", "V2")
EVERY: Final = [(framework, version) for framework in FRAMEWORKS for version in VERSIONS]
FILES: Final = {
    *("bridge.toml", "template.yaml", "Makefile", "src/orders/app.py", "tests/test_orders.py"),
    *("pytest.ini", ".gitignore"),
}


def made(folder: Path, framework: str = "none", version: str = "V2") -> Path:
    done = read("init", str(folder), "--framework", framework, "--event-version", version)
    assert done.exit_code == 0, done.output
    return folder


def tree(folder: Path) -> dict[str, str]:
    """The text of each file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---- the project ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("framework", "version"), EVERY)
def test_project_passes_every_check(framework: str, version: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "shop", framework, version)
    done = read("check", str(folder / "bridge.toml"), "--template", str(folder / "template.yaml"), "--strict")
    assert (done.exit_code, done.output.count(": no errors, no warnings\n")) == (0, 2), done.output


@pytest.mark.parametrize(("framework", "version"), EVERY)
def test_plan_of_the_project_is_one_service_and_two_functions(framework: str, version: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "shop", framework, version)
    plan = json.loads(read("local", "--plan", "--json", "--template", str(folder / "template.yaml")).output)
    assert {name: one["isolated"] for name, one in plan["functions"].items()} == {"Bridge": False, "orders": True}
    (service,) = plan["services"]
    ((group, _),) = service["rules"][0]["action"]["forward"]
    assert f"V{group['version']}" == version


def test_template_is_the_same_for_every_framework() -> None:
    """tests/deployment/checks/test_shipped_template.py shows that cfn-lint accepts it."""
    assert len({project_files(framework, "V2")["template.yaml"] for framework in FRAMEWORKS}) == 1


@pytest.mark.usefixtures("event_loop_of_main")
@pytest.mark.parametrize(("framework", "version"), EVERY)
def test_function_answers_as_its_tenant_behind_the_bridge(
    framework: str, version: str, tmp_path: Path, bridge: BridgeFactory, fake_lambda: FakeLambda
) -> None:
    folder = made(tmp_path / "shop", framework, version)
    behind = bridge((folder / "bridge.toml").read_text(encoding="utf-8"))
    principal = "arn:aws:iam::111122223333:role/green-api"
    fake_lambda.reply({"statusCode": 200}, "orders")
    event = lattice_event(version=1 if version == "V1" else 2, path="/orders?state=open", principal=principal)
    behind(event)
    (call,) = fake_lambda.calls
    assert (call.function, call.qualifier, call.tenant) == ("orders", "live", "green")
    handler = handler_of(folder / "src" / "orders" / "app.py")
    answers = []
    for _ in range(2):
        fake_lambda.reply(handler(call.payload, SimpleNamespace(tenant_id=call.tenant)), "orders")
        reply = behind(event)
        assert reply["statusCode"] == 200
        answers.append(json.loads(reply["body"]))
    assert answers == [{"tenant": "green", "request": number} for number in (1, 2)]


def handler_of(path: Path) -> Callable[..., Any]:
    spec = spec_from_file_location("app", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Callable[..., Any] = module.handler
    return handler


def test_payload_is_the_one_that_the_documents_recommend() -> None:
    """docs/backends.md, "Which payload"."""
    payloads = {
        framework: tomllib.loads(project_files(framework, "V2")["bridge.toml"])["backend"][0]["payload"]
        for framework in FRAMEWORKS
    }
    assert payloads == {**dict.fromkeys(FRAMEWORKS, "apigateway-v2"), "powertools": "apigateway-v1"}


@pytest.mark.parametrize("framework", [framework for framework in FRAMEWORKS if framework != "none"])
def test_function_requires_what_our_own_tests_run_with(framework: str) -> None:
    required = project_files(framework, "V2")["src/orders/requirements.txt"].split()
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(required) < set(ours["dev"])


def test_function_without_a_framework_requires_nothing(tmp_path: Path) -> None:
    assert set(tree(made(tmp_path / "shop"))) == FILES


def test_map_has_a_test_for_each_rule() -> None:
    found = tomllib.loads(project_files("none", "V2")["bridge.toml"])
    assert len(found["tenants"]) == len(found["rule"]) == 2
    assert {rule["tenant"] for rule in found["rule"]} == {test["expect"] for test in found["test"]} & {
        *found["tenants"]
    }


def test_map_allows_the_identities_of_the_local_stack() -> None:
    """The printed command and the project's tests sign with them."""
    rules = tomllib.loads(project_files("none", "V2")["bridge.toml"])["rule"]
    assert {rule["role"] for rule in rules} == {str(one.principal) for one in read_identities(None).values()}


def test_template_is_small_and_points_to_the_whole_one() -> None:
    text = project_files("none", "V2")["template.yaml"]
    assert len(text.splitlines()) <= 70
    assert "For production, add: " in text
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert f"{urls['Repository']}/blob/main/template.yaml" in text


def test_makefile_packages_for_the_templates_architecture() -> None:
    files = project_files("none", "V2")

    class Loader(yaml.SafeLoader):
        """Reads each value with one of CloudFormation's tags as None."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    template = yaml.load(files["template.yaml"], Loader)
    (architecture,) = template["Globals"]["Function"]["Architectures"]
    (name,) = [name for name, one in template["Resources"].items() if "Metadata" in one]
    assert (
        f'\nbuild-{name}:\n\tlattice-bridge package --folder "$(ARTIFACTS_DIR)" --arch {architecture}\n'
        in (files["Makefile"])
    )


def test_every_caller_needs_a_signature_and_a_rule() -> None:
    """Trap A1: neither the map nor the auth policy of a new project admits an unauthenticated caller."""
    files = project_files("none", "V2")
    assert not [rule for rule in tomllib.loads(files["bridge.toml"])["rule"] if "role" not in rule]
    assert Settings.from_text(files["bridge.toml"])
    assert "AuthType: AWS_IAM" in files["template.yaml"]
    assert "aws:PrincipalType: anonymous" in files["template.yaml"]


# ---- what it prints -------------------------------------------------------------------------------------------------


def test_three_commands_come_next(tmp_path: Path) -> None:
    """Trap G5: the folder's name is quoted. `local` has the region of the environment, so the signature has it too."""
    folder = tmp_path / "my shop; true"
    done = CliRunner().invoke(root, ["init", str(folder)], env={"AWS_REGION": "eu-west-1"})
    commands = [line.strip() for line in done.output.partition("Next:")[2].splitlines()[1:]]
    assert commands[0] == f"cd {shlex.quote(str(folder))} && python -m pytest"
    assert commands[1].partition("  #")[0] == "lattice-bridge local"
    assert commands[2].startswith("curl --aws-sigv4 aws:amz:eu-west-1:vpc-lattice-svcs --user LOCALBLUE:blue ")
    assert len(commands) == 3


def test_current_folder_is_the_default(tmp_path: Path) -> None:
    with chdir(tmp_path):
        done = read("init")
    assert "\n  python -m pytest\n" in done.output
    assert set(tree(tmp_path)) == FILES
    assert {line.partition("\t")[0] for line in done.output.splitlines() if "\t" in line} == FILES


def test_terminal_shows_each_file_on_a_line(tmp_path: Path) -> None:
    folder, files = tmp_path / "s", project_files("flask", "V2")
    lines = seen("init", str(folder), "--framework", "flask", columns=80 + len(str(tmp_path))).splitlines()
    words = [line.split(maxsplit=1) for line in lines[: len(files)]]
    assert [first for first, _ in words] == [str(folder / name) for name in files]
    assert "\t" not in "".join(lines)


# ---- all or nothing -------------------------------------------------------------------------------------------------


def test_existing_files_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "bridge.toml").write_text("mine", encoding="utf-8")
    (tmp_path / "tests" / "test_orders.py").write_text("mine", encoding="utf-8")
    done = read("init", str(tmp_path))
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"error: {tmp_path}/bridge.toml: exists already",
        f"error: {tmp_path}/tests/test_orders.py: exists already",
        f"{tmp_path}: nothing was written. Fix: name a new folder, as in lattice-bridge init my-service",
    ]
    assert tree(tmp_path) == {"bridge.toml": "mine", "tests/test_orders.py": "mine"}


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    (tmp_path / "src" / "other.py").write_text("mine", encoding="utf-8")
    made(tmp_path)
    found = tree(tmp_path)
    assert set(found) == {*FILES, "README.md", "src/other.py"}
    assert (found["README.md"], found["src/other.py"]) == ("mine", "mine")


@pytest.mark.parametrize("name", ["src", "src/orders", "tests", "bridge.toml"])
def test_link_is_not_followed(name: str, tmp_path: Path) -> None:
    """Trap G4: a link in the folder would let the command write elsewhere. A link to nothing is one too."""
    outside, folder = tmp_path / "outside", tmp_path / "shop"
    (folder / name).parent.mkdir(parents=True)
    for exists in (False, True):
        if exists:
            outside.mkdir()
        else:
            (folder / name).symlink_to(outside)
        done = read("init", str(folder))
        assert (done.exit_code, f"error: {folder / name}: " in done.output) == (1, True)
        assert tree(tmp_path) == {}


def test_file_in_a_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "src").write_text("mine", encoding="utf-8")
    done = read("init", str(tmp_path))
    assert done.exit_code == 1
    assert f"error: {tmp_path}/src: is not a folder, or a link to one\n" in done.output
    assert tree(tmp_path) == {"src": "mine"}


@pytest.mark.parametrize("before", ["nothing", "a folder"])
def test_failure_in_the_middle_leaves_what_was_there(before: str, tmp_path: Path) -> None:
    """The last file cannot be written: its name is too long."""
    folder = tmp_path / "a" / "shop"
    if before == "a folder":
        (folder / "src").mkdir(parents=True)
    there = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError) as caught:
        write_project(folder, {"src/a.py": "", "tests/b.py": "", "x" * 300: ""})
    assert caught.value.errno == errno.ENAMETOOLONG
    assert sorted(tmp_path.rglob("*")) == there


def test_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError):
        write_project(tmp_path, {"a": "", "b": ""})
    assert tree(tmp_path) == {"b": "mine"}


@pytest.mark.parametrize("name", ["file", "file/shop", "a" * 300])
def test_folder_that_cannot_be_made_is_wrong_usage(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with chdir(tmp_path):
        done = read("init", name)
    assert done.exit_code == 2
    assert "Fix: name a folder that you can write to" in done.output
    assert tree(tmp_path) == {"file": "mine"}


def test_empty_name_is_not_the_current_folder(tmp_path: Path) -> None:
    """As of an unset variable: `lattice-bridge init "$NAME"`."""
    with chdir(tmp_path):
        done = read("init", "")
    assert (done.exit_code, "the folder's name is empty. Fix: write a name" in done.output) == (2, True)
    assert tree(tmp_path) == {}
