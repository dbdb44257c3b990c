"""`lattice-bridge check --template`: each mistake is told by its own message, and what is right is not told at all."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.root import root
from lattice_bridge.deployment.template_found import TemplateFinding
from lattice_bridge.deployment.template_rules import template_findings
from lattice_bridge.deployment.template_sam import translate
from lattice_bridge.options import Options
from lattice_bridge.settings import Settings

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "tests" / "templates"
TEMPLATE: Final = (ROOT / "template.yaml").read_text(encoding="utf-8")
MISTAKES: Final[list[dict[str, str]]] = tomllib.loads((FOLDER / "mistakes.toml").read_text(encoding="utf-8"))["mistake"]
IN_PLAIN: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "plain.toml").read_text(encoding="utf-8"))["mistake"]
REGION: Final = "us-east-1"


def options() -> Options:
    return Settings.load({"LAMBDA_TASK_ROOT": str(ROOT)}).options


def changed(mistake: dict[str, str]) -> str:
    assert mistake["old"] in TEMPLATE
    return TEMPLATE.replace(mistake["old"], mistake["new"], 1)


@cache
def translated() -> str:
    return json.dumps(translate(TEMPLATE, {}, REGION))


def of(path: Path, text: str, parameters: dict[str, str] | None = None) -> list[TemplateFinding]:
    path.write_text(text, encoding="utf-8")
    return template_findings(path, options(), parameters or {}, REGION)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["check", str(ROOT / "bridge.toml"), *arguments])


def test_the_projects_own_template_is_clean() -> None:
    assert template_findings(ROOT / "template.yaml", options(), {}, REGION) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"])
def test_a_mistake_is_told_with_its_resource(mistake: dict[str, str], tmp_path: Path) -> None:
    findings = of(tmp_path / "template.yaml", changed(mistake))
    found = [one for one in findings if one.subject == mistake["resource"] and one.wrong.startswith(mistake["wrong"])]
    assert found, [one.text for one in findings]
    assert all(one.level == "error" for one in found)
    for one in findings:
        assert one.text == f"{one.subject}: {one.wrong}. Instead: {one.instead}. Why: {one.why}."


@pytest.mark.parametrize("mistake", IN_PLAIN, ids=lambda mistake: mistake["name"])
def test_a_mistake_in_plain_cloudformation_is_told_with_its_resource(mistake: dict[str, Any], tmp_path: Path) -> None:
    plain = json.loads(translated())
    for resource, body in mistake["resources"].items():
        before = plain["Resources"].setdefault(resource, {"Properties": {}})
        before.update({"Type": body.get("Type", before.get("Type"))})
        before["Properties"].update(body["Properties"])
    findings = of(tmp_path / "template.json", json.dumps(plain))
    assert [(one.level, one.subject, one.wrong) for one in findings] == [
        (mistake.get("level", "error"), mistake["resource"], mistake["wrong"])
    ]


def test_every_mistake_has_a_message_of_its_own() -> None:
    wrong = [(one["resource"], one["wrong"]) for one in [*MISTAKES, *IN_PLAIN]]
    twice = {each for each in wrong if wrong.count(each) > 1}
    assert twice == {
        ("BridgeRole", 'no statement allows lambda:InvokeFunction on "history:live", which bridge.toml names')
    }


def test_several_mistakes_of_one_function_are_all_told(tmp_path: Path) -> None:
    """AWS's translator would stop at the first."""
    name = "      FunctionName: counter-isolated\n"
    more = f"{name}      FunctionUrlConfig: {{AuthType: NONE}}\n      SnapStart: {{ApplyOn: PublishedVersions}}\n"
    findings = of(tmp_path / "template.yaml", TEMPLATE.replace(name, more))
    assert [one.wrong for one in findings] == ["SnapStart is on", "it has a function URL (IsolatedFunctionUrl)"]


def test_what_the_translator_refuses_is_a_finding(tmp_path: Path) -> None:
    (finding,) = of(tmp_path / "template.yaml", TEMPLATE.replace("      CodeUri: .\n", "      Kode: .\n"))
    assert (finding.subject, "Kode" in finding.wrong) == ("BridgeFunction", True)


def test_a_function_that_the_environment_names_is_one_that_bridge_toml_names(tmp_path: Path) -> None:
    more = "        Variables:\n          LATTICE_BRIDGE_FUNCTION: orders:live\n"
    (finding,) = of(tmp_path / "template.yaml", TEMPLATE.replace("        Variables:\n", more))
    assert finding.wrong == 'no statement allows lambda:InvokeFunction on "orders:live", which bridge.toml names'


def test_a_bridge_under_a_handler_of_your_own_is_known_by_its_target_group(tmp_path: Path) -> None:
    own = TEMPLATE.replace("lattice_bridge.main.handler", "app.handler")
    assert of(tmp_path / "template.yaml", own) == []
    assert of(tmp_path / "template.yaml", own.replace("                  - !Ref HistoryFunction.Alias\n", ""))


def test_a_level_of_logs_that_loses_the_metrics_is_a_warning(tmp_path: Path) -> None:
    json_logs = "        LogFormat: JSON # and"
    quiet = TEMPLATE.replace(json_logs, f"        ApplicationLogLevel: WARN\n{json_logs}")
    (finding,) = of(tmp_path / "template.yaml", quiet)
    assert (finding.level, finding.wrong) == ("warning", "ApplicationLogLevel is WARN")


@pytest.mark.parametrize(
    "text",
    [
        "Transform: AWS::Serverless-2016-10-31\nResources: {F: {Type: AWS::Serverless::Function, Properties: }}",
        "Transform: AWS::Serverless-2016-10-31\nResources: {F: 3}",
        "Transform: AWS::Serverless-2016-10-31\nResources: []",
        "Transform: AWS::Serverless-2016-10-31\nGlobals: 3\nResources: {F: {Type: AWS::Serverless::Function}}",
        "Resources: {F: {Type: AWS::Lambda::Function, Properties: {Handler: lattice_bridge.x, Timeout: soon}}}",
        "{",
        "Transform: AWS::Serverless-2016-10-31\n{",
    ],
)
def test_a_template_of_another_shape_is_told_and_not_a_traceback(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    result = check("--template", str(tmp_path / "t.yaml"))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2), result.output


def test_a_template_without_a_bridge_says_so(tmp_path: Path) -> None:
    (finding,) = of(tmp_path / "t.yaml", "Resources: {T: {Type: AWS::SQS::Queue}}")
    assert finding.wrong.startswith("no bridge: ")


def test_a_role_that_is_elsewhere_is_a_warning(tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/bridge"
    (finding,) = of(tmp_path / "template.yaml", TEMPLATE.replace("!GetAtt BridgeRole.Arn", role))
    assert (finding.level, finding.subject) == ("warning", "BridgeFunction")
    assert role in finding.wrong


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_checks_the_map_and_the_template() -> None:
    result = check("--template", str(ROOT / "template.yaml"))
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].endswith("template.yaml: no errors, no warnings")
    assert "bridge.toml: no errors" in result.output


def test_a_service_may_be_open_if_that_is_asked_for() -> None:
    template = ["--template", str(ROOT / "template.yaml"), "--parameter", "AuthType=NONE"]
    refused = check(*template)
    assert (refused.exit_code, "Service: AuthType is NONE" in refused.output) == (1, True)
    assert check(*template, "--unsigned").exit_code == 0


def test_json_has_each_part_of_a_finding(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(changed(MISTAKES[0]), encoding="utf-8")
    result = check("--template", str(tmp_path / "t.yaml"), "--format", "json")
    (found,) = [one for one in json.loads(result.output) if one["level"] == "error"]
    assert (result.exit_code, set(found)) == (1, {"level", "subject", "text", "wrong", "instead", "why"})


def test_sarif_has_a_run_for_each_file_and_the_line_of_the_resource(tmp_path: Path) -> None:
    text = changed(MISTAKES[0])
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    result = check("--template", str(tmp_path / "t.yaml"), "--format", "sarif")
    assert result.exit_code == 1
    _, run = json.loads(result.output)["runs"]
    (place,) = [one["locations"][0]["physicalLocation"] for one in run["results"]]
    assert place["artifactLocation"]["uri"].endswith("/t.yaml")
    assert text.splitlines()[place["region"]["startLine"] - 1] == "  IsolatedFunction:"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--template", "nothing.yaml"], "nothing.yaml: No such file or directory"),
        (["--template", str(ROOT / "bridge.toml")], "not YAML"),
        (["--template", str(ROOT / "template.yaml"), "-P", "AuthType=MAYBE"], "'MAYBE' is not one of AWS_IAM, NONE"),
        (["--template", str(ROOT / "template.yaml"), "-P", "AuthType"], "write NAME=VALUE"),
        (["--unsigned"], "go with --template"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    result = check(*arguments)
    assert (result.exit_code, message in result.output) == (2, True), result.output


def without_translator(template: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.modules['samtranslator'] = None\nfrom lattice_bridge.cli import main; main()"
    command = [sys.executable, "-c", program, "check", "bridge.toml", "--template", str(template)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_sam_template_without_the_translator_says_what_to_install() -> None:
    found = without_translator(ROOT / "template.yaml")
    assert found.returncode == 2
    assert "pip install 'lattice-bridge[template]'" in found.stderr


def test_plain_cloudformation_needs_no_translator(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(translated(), encoding="utf-8")
    found = without_translator(tmp_path / "t.json")
    assert (found.returncode, "t.json: no errors, no warnings" in found.stdout) == (0, True), found.stderr


def test_nothing_is_printed_beside_the_findings() -> None:
    """AWS's translator logs what concerns nobody here."""
    command = [sys.executable, "-m", "lattice_bridge.cli", "check", "bridge.toml", "--template", "template.yaml"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert found.stderr == ""
