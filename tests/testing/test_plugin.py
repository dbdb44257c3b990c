"""The pytest plugin: fixtures, marker and options, and its cost for projects that do not use it.

These tests use the plugin's own fixtures. A whole run of pytest is in this process, except where the test is about what
pytest imports, or several tests read the output of one run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.errors import InvalidMap, Unavailable
from lattice_bridge.testing import Case, FakeLambda, Issuer, lattice_event, load_event
from lattice_bridge.testing.fixtures import BridgeFactory
from tests.support.stack import FORWARDED_FUNCTION

pytest_plugins: Final = ("pytester",)

PLUGIN: Final = "_lattice_bridge_pytestplugin"
BLUE: Final = "arn:aws:iam::111122223333:role/blue-api"
CONFIG: Final = f"""
[[backend]]
function = "orders"
[tenants]
blue = {{}}
[[rule]]
id = "blue-api"
role = "{BLUE}"
tenant = "blue"
"""
USERS: Final = """
[[rule]]
id = "users"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]
"""


ARGUMENTS: Final = ("-q", "-p", "no:cacheprovider", "-W", "error")


def pytest_process(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest on a test file in a process of its own, without this repository's configuration."""
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", *ARGUMENTS, *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def output_of(pytester: pytest.Pytester, text: str, *arguments: str) -> str:
    """Runs pytest on a test file in this process, without this repository's configuration."""
    pytester.makepyfile(test_it=text)
    return pytester.runpytest_inprocess(*ARGUMENTS, *arguments).stdout.str()


# ---- projects that do not use it ------------------------------------------------------------------------------------

MODULES: Final = """
import json, pathlib, sys
def test_modules():
    pathlib.Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
"""


def modules_of_a_run(folder: Path, *arguments: str) -> set[str]:
    done = pytest_process(folder, MODULES, *arguments)
    assert done.returncode == 0, done.stdout
    return set(json.loads((folder / "modules.json").read_text()))


def test_unused_plugin_imports_one_file_only(tmp_path: Path) -> None:
    without = modules_of_a_run(tmp_path, "-p", "no:lattice_bridge")
    assert modules_of_a_run(tmp_path) - without == {PLUGIN}
    assert not {name for name in without if name.partition(".")[0] in (PLUGIN, "lattice_bridge")}


def test_event_fixture_imports_no_server_and_no_sdk(tmp_path: Path) -> None:
    done = pytest_process(
        tmp_path,
        """
import sys
def test_modules(lattice_event):
    lattice_event()
    assert not {"boto3", "jwt", "pydantic", "starlette", "hypothesis.strategies"} & set(sys.modules)
    assert not {"lattice_bridge.testing.stack", "lattice_bridge.testing.fakes"} & set(sys.modules)
""",
    )
    assert done.returncode == 0, done.stdout


# ---- the marker -----------------------------------------------------------------------------------------------------


@pytest.mark.lattice_events("v2/query-in-path", "v1/query-in-path")
def test_marked_test_gets_the_named_events(lattice_case: Case, request: pytest.FixtureRequest) -> None:
    assert request.node.name.endswith(f"[{lattice_case.name}]")
    assert lattice_case.event == load_event(lattice_case.name)
    assert lattice_case.expected["request"]["version"] == int(lattice_case.name[1])


def test_patterns_add_events_without_repetition(pytester: pytest.Pytester) -> None:
    text = """
import pytest
@pytest.mark.lattice_events("v2/query-r*", "v1/query-in-path", "v2/query-repeated")
def test_it(lattice_case): pass
"""
    output = output_of(pytester, text, "--collect-only")
    assert re.findall(r"test_it\[(.*)\]", output) == ["v2/query-repeated", "v1/query-in-path"]


def test_changed_event_does_not_affect_other_tests(pytester: pytest.Pytester) -> None:
    text = """
import pytest
@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.lattice_events("v2/signed-role")
def test_it(lattice_case, time):
    assert lattice_case.event["requestContext"].pop("identity")
    lattice_case.expected.clear()
"""
    output = output_of(pytester, text)
    assert "2 passed" in output


def test_function_marker_overrides_its_class(pytester: pytest.Pytester) -> None:
    text = """
import pytest
@pytest.mark.lattice_events("v1/*")
class TestIt:
    @pytest.mark.lattice_events("v2/unsigned")
    def test_it(self, lattice_case): pass
"""
    output = output_of(pytester, text, "--collect-only")
    assert re.findall(r"test_it\[(.*)\]", output) == ["v2/unsigned"]


@pytest.mark.parametrize(
    ("marker", "argument", "said"),
    [
        ('lattice_events("v2/query-repaeted")', "lattice_case", "similar names: v2/query-repeated"),
        ('lattice_events(pattern="v2/*")', "lattice_case", 'lattice_events("v2/*")'),
        ("lattice_events(2)", "lattice_case", 'lattice_events("v2/*")'),
        ('lattice_events("v2/*")', "tmp_path", "the test has no argument lattice_case"),
        (
            "usefixtures('tmp_path')",
            "lattice_case",
            'the test has no marker. Fix: add @pytest.mark.lattice_events("v2/*")',
        ),
    ],
    ids=["no such event", "a keyword", "a number", "no argument", "no marker"],
)
def test_faulty_marker_is_an_error_with_a_fix(pytester: pytest.Pytester, marker: str, argument: str, said: str) -> None:
    output = output_of(pytester, f"import pytest\n@pytest.mark.{marker}\ndef test_it({argument}): pass\n")
    assert said in output
    assert "1 error" in output


def test_marker_is_registered(pytester: pytest.Pytester) -> None:
    text = 'import pytest\n@pytest.mark.lattice_events("v2/unsigned")\ndef test_it(lattice_case): pass\n'
    assert "1 passed" in output_of(pytester, text, "--strict-markers")


# ---- events of one's own --------------------------------------------------------------------------------------------

OWN: Final = """
import pytest
@pytest.mark.lattice_events
def test_it(lattice_case):
    assert (lattice_case.event, lattice_case.expected) == ({"mine": 1}, {})
"""


def test_own_folder_replaces_the_corpus(pytester: pytest.Pytester) -> None:
    (pytester.path / "own" / "deep").mkdir(parents=True)
    (pytester.path / "own" / "deep" / "one.json").write_text('{"mine": 1}')
    output = output_of(pytester, OWN, "--lattice-events", "own", "-vv")
    assert "test_it[deep/one] PASSED" in output
    assert "1 passed" in output
    assert "no event was replayed" not in output


def test_own_folder_that_no_test_replays_is_reported(pytester: pytest.Pytester) -> None:
    """Without a word, the run looks as if the events had been replayed."""
    (pytester.path / "own").mkdir()
    output = output_of(pytester, "def test_it(): pass", "--lattice-events", "own")
    assert "--lattice-events own: no event was replayed, because no collected test has the marker. Fix:" in output


def test_missing_or_malformed_events_are_an_error(pytester: pytest.Pytester) -> None:
    assert f"--lattice-events: {pytester.path / 'own'} is not a folder" in output_of(
        pytester, OWN, "--lattice-events", "own"
    )
    (pytester.path / "own").mkdir()
    (pytester.path / "own" / "one.json").write_text("{")
    assert "one.json is not JSON" in output_of(pytester, OWN, "--lattice-events", "own")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("own", "lattice_events: {own}/one.json: not UTF-8 at byte 0. Fix: save it as UTF-8"),
        ("a" * 300, " is not a folder. Fix: name a folder of event files"),
    ],
)
def test_events_that_cannot_be_read_are_an_error_without_a_traceback(
    pytester: pytest.Pytester, folder: str, message: str
) -> None:
    """The fault is the folder's: there is a test with the marker, so no line says that one has to be written."""
    (pytester.path / "own").mkdir()
    (pytester.path / "own" / "one.json").write_bytes(b"\xff")
    output = output_of(pytester, OWN, "--lattice-events", folder)
    assert message.format(own=pytester.path / "own") in output
    assert "regular_file.py" not in output
    assert "no event was replayed" not in output


# ---- fixtures -------------------------------------------------------------------------------------------------------


def test_event_fixture_equals_the_packages_function(lattice_event: Callable[..., dict[str, Any]]) -> None:
    assert lattice_event(path="/orders")["path"] == "/orders"


def test_bridge_of_a_string_invokes_as_the_tenant(bridge: BridgeFactory, fake_lambda: FakeLambda) -> None:
    fake_lambda.reply({"statusCode": 201, "body": ""}, "orders")
    assert bridge(CONFIG)(lattice_event(principal=BLUE))["statusCode"] == 201
    assert [(call.function, call.tenant) for call in fake_lambda.calls] == [("orders", "blue")]


def test_bridge_accepts_lambdas_context(bridge: BridgeFactory, fake_lambda: FakeLambda) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 100

    handler = bridge(CONFIG)
    assert handler(lattice_event(principal=BLUE), Context())["statusCode"] == 504
    assert handler.log[-1]["reason"] == "no_time_left"
    assert fake_lambda.calls == []


def test_log_contains_the_reason_and_is_printed(bridge: BridgeFactory, capsys: pytest.CaptureFixture[str]) -> None:
    handler = bridge(CONFIG)
    assert handler(lattice_event())["statusCode"] == 401
    assert handler(lattice_event(principal=f"{BLUE}-not"))["statusCode"] == 403
    assert [line["reason"] for line in handler.log] == ["no_credential", "no_rule"]
    assert '"reason":"no_rule"' in capsys.readouterr().out


def test_default_bridge_is_the_projects_own(bridge: BridgeFactory, fake_lambda: FakeLambda) -> None:
    fake_lambda.reply({"statusCode": 200})
    assert bridge()(lattice_event(path="/history", principal=BLUE))["statusCode"] == 200
    assert [(call.function, call.tenant) for call in fake_lambda.calls] == [("history", "BlueTenant")]


def test_path_is_relative_to_the_projects_root(
    bridge: BridgeFactory, fake_lambda: FakeLambda, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_lambda.reply({"statusCode": 200})
    monkeypatch.chdir(tmp_path)
    handler = bridge("examples/open.toml")
    assert handler(lattice_event(path="/history", headers={"x-tenant-id": "BlueTenant"}))["statusCode"] == 200


def test_call_without_a_reply_fails_the_test_that_made_it(pytester: pytest.Pytester) -> None:
    """The set-up of the next test begins with a new fake."""
    text = """
def test_unscripted(fake_lambda, lattice_event):
    fake_lambda.client().invoke(FunctionName="orders", TenantId="blue", Payload=__import__("json").dumps(
        lattice_event(method="PUT", path="/orders/7?token=secret")))
def test_scripted(fake_lambda):
    fake_lambda.reply({})
    fake_lambda.client().invoke(FunctionName="orders")
"""
    output = output_of(pytester, text)
    assert "2 passed, 1 error" in output
    assert "ERROR at teardown of test_unscripted" in output
    assert "fake_lambda: a call had no reply:\n  orders as tenant blue: PUT /orders/7\n" in output
    assert "Traceback" not in output


def test_faulty_map_raises_its_faults(bridge: BridgeFactory) -> None:
    with pytest.raises(InvalidMap, match='tenant "bleu"'):
        bridge(CONFIG.replace('"blue"', '"bleu"'))


def test_missing_path_raises(bridge: BridgeFactory, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="config_unreachable"):
        bridge(tmp_path / "bridge.toml")


def test_every_option_reaches_the_bridge(bridge: BridgeFactory) -> None:
    service = "arn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-0a1b2c3d4e5f60718"
    text = f'[lattice]\nservices = ["{service}"]\nset_cookie = "headers"\nscheme = "http"\n{CONFIG}'
    made = bridge(text).bridge
    assert made.services == {service}
    assert (made.set_cookie, made.scheme) == ("headers", "http")


def test_bridge_accepts_tokens_of_the_issuer(
    bridge: BridgeFactory, token_issuer: Issuer, fake_lambda: FakeLambda
) -> None:
    fake_lambda.reply({"statusCode": 200})
    handler = bridge(CONFIG + USERS + token_issuer.table())
    token = token_issuer.token(tenant="blue")
    assert handler(lattice_event(headers={"authorization": f"Bearer {token}"}))["statusCode"] == 200
    assert [call.tenant for call in fake_lambda.calls] == ["blue"]


def test_issuer_is_trusted_during_its_test_only(pytester: pytest.Pytester) -> None:
    text = """
import os
before = os.environ.get("SSL_CERT_FILE")
def test_one(token_issuer): assert os.environ["SSL_CERT_FILE"] == str(token_issuer.ca_file)
def test_two(): assert os.environ.get("SSL_CERT_FILE") == before
"""
    assert "2 passed" in output_of(pytester, text)


# ---- settings -------------------------------------------------------------------------------------------------------

USES: Final = "def test_it(bridge): bridge()\n"


def test_setting_names_the_projects_bridge(pytester: pytest.Pytester) -> None:
    (pytester.path / "conf").mkdir()
    (pytester.path / "conf" / "b.toml").write_text(CONFIG)
    (pytester.path / "pytest.ini").write_text("[pytest]\nlattice_bridge_config = conf/b.toml\n")
    assert "1 passed" in output_of(pytester, USES)


def test_missing_configuration_is_an_error_with_the_setting(pytester: pytest.Pytester) -> None:
    output = output_of(pytester, USES)
    assert (
        f"there is no {pytester.path / 'bridge.toml'}. Fix: name the file in pytest's setting lattice_bridge_config"
        in output
    )


STACK: Final = "def test_one(local_stack): pass\ndef test_two(local_stack): pass\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "template.yaml. Fix: name the file in pytest's setting lattice_bridge_template"),
        ({"template.yaml": "Resources: {}"}, "Failed: local_stack: the local stack did not start (with exit code 2)"),
        (
            {"template.yaml": "Resources: {}", "pytest.ini": "[pytest]\nlattice_bridge_parameters = AuthType\n"},
            "Failed: lattice_bridge_parameters: AuthType has no value. Fix: write NAME=VALUE",
        ),
    ],
    ids=["no template", "a bad template", "a bad parameter"],
)
def test_failed_stack_is_an_error_of_each_test(pytester: pytest.Pytester, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (pytester.path / name).write_text(text)
    output = output_of(pytester, STACK, "-rE")
    assert "2 errors" in output
    assert output.count(said.removeprefix("Failed: ")) >= 2
    assert "Traceback" not in output
    assert "lattice_bridge/testing" not in output


# ---- the stack's output ---------------------------------------------------------------------------------------------

RAISES: Final = """
def handler(event, context):
    print("asked for", event["path"], chr(27) + "[2J")
    if event["path"].startswith("/raise"):
        raise ValueError("no such order")
    return {"statusCode": 200, "body": ""}
"""
USES_STACK: Final = """
import pytest

@pytest.fixture
def prepared(local_stack):
    assert local_stack.get("/raise-in-set-up").status == 200

@pytest.fixture
def tidied(local_stack):
    yield
    assert local_stack.get("/raise-in-teardown").status == 200

def test_passes(local_stack): assert local_stack.get("/passes").status == 200
def test_fails(local_stack): assert local_stack.get("/raise-in-call").status == 200
def test_set_up_fails(prepared): pass
def test_teardown_fails(tidied): pass
def test_asks_nothing(local_stack): assert False
def test_without_stack(): assert False
"""


@pytest.fixture(scope="module")
def stack_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of a run whose template and parameters are named by settings."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "conf").mkdir()
    service = "  Service: {Type: AWS::VpcLattice::Service, Properties: {AuthType: !Ref AuthType}}\n"
    parameters = "Parameters: {AuthType: {Type: String, Default: AWS_IAM}}\n"
    (folder / "conf" / "t.yaml").write_text(f"{parameters}{FORWARDED_FUNCTION}{service}")
    (folder / "conf" / "app.py").write_text(RAISES)
    settings = ["lattice_bridge_template = conf/t.yaml", "lattice_bridge_parameters =", "  AuthType=NONE"]
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", *settings, ""]))
    return pytest_process(folder, USES_STACK, "--tb=short", "-rA").stdout


def section(run: str, test: str) -> str:
    """The part of a run's output about one test."""
    return re.split(r"(?m)^_{3,} .*\b" + test + r" _{3,}$", run)[1].partition("\n___")[0].partition("\n===")[0]


def test_settings_name_template_and_parameters(stack_run: str) -> None:
    """The template's default, AWS_IAM, would refuse the request."""
    assert "PASSED test_it.py::test_passes" in stack_run


TRACE: Final = r"""
\[Function#1\]  asked for /{path} \\x1b\[2J
\[Function#1\]  \[ERROR\] ValueError: no such order
  Traceback \(most recent call last\):
    File "[^\n]+/app.py", line 5, in handler
      raise ValueError\("no such order"\)
\[Function#1\]  Task failed with ValueError\tRequestId: [^\n]+
warning: front: GET /{path}: 502: [^\n]+: ValueError: no such order"""


@pytest.mark.parametrize(
    ("test", "path"),
    [
        ("test_fails", "raise-in-call"),
        ("test_set_up_fails", "raise-in-set-up"),
        ("test_teardown_fails", "raise-in-teardown"),
    ],
)
def test_failed_test_shows_the_stacks_output_since_it_began(stack_run: str, test: str, path: str) -> None:
    """Traces are included, control characters are escaped, and earlier tests' output is not repeated."""
    title, output = re.split(r"-+ (local_stack: .*) -+", section(stack_run, test))[1:]
    assert title == "local_stack: output since the test began"
    assert re.fullmatch(TRACE.replace("{path}", path), output.rstrip("\n"))


def test_failed_test_that_caused_no_output_shows_none(stack_run: str) -> None:
    assert section(stack_run, "test_asks_nothing").rstrip().endswith("began -------------------\n(nothing)")


def test_failed_test_without_the_stack_shows_no_output(stack_run: str) -> None:
    assert "local_stack" not in section(stack_run, "test_without_stack")
