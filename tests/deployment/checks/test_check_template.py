"""`lattice-bridge check --template`: each mistake has its own finding, and a correct template has none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.root import root
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.options import Options
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.deployment.checks.run import findings_of, template_findings
from lattice_bridge.deployment.checks.stack import TemplateFinding
from lattice_bridge.deployment.cloudformation.sam import translate
from lattice_bridge.deployment.cloudformation.template import resolve
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "tests" / "templates"
TEMPLATE: Final = (ROOT / "template.yaml").read_text(encoding="utf-8")
MISTAKES: Final[list[dict[str, str]]] = tomllib.loads((FOLDER / "mistakes.toml").read_text(encoding="utf-8"))["mistake"]
IN_PLAIN: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "plain.toml").read_text(encoding="utf-8"))["mistake"]
CASES: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "orders_cases.toml").read_text(encoding="utf-8"))["case"]
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


def edited(name: str, edits: list[list[str]], add: str = "") -> str:
    """A file of the folder with texts replaced, and resources added at its end."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text + indent(add, "  ")


def orders(text: str, *, map_edits: list[list[str]] | None = None, **more: Any) -> list[TemplateFinding]:
    """The findings about a text that is orders.yaml, edited."""
    known = read_options(parse_document(edited("orders.toml", map_edits or [])).tables, [])
    return template_findings(FOLDER / "orders.yaml", known, more.pop("parameters", {}), REGION, text=text, **more)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["check", str(ROOT / "bridge.toml"), *arguments])


def test_shipped_template_has_no_findings() -> None:
    assert template_findings(ROOT / "template.yaml", options(), {}, REGION) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"])
def test_mistake_in_the_shipped_template_is_found_on_its_resource(mistake: dict[str, str], tmp_path: Path) -> None:
    findings = of(tmp_path / "template.yaml", changed(mistake))
    found = [one for one in findings if one.subject == mistake["resource"] and one.actual.startswith(mistake["actual"])]
    assert found, [one.text for one in findings]
    assert all(one.level == mistake.get("level", "error") for one in found)
    for one in findings:
        assert one.text == f"{one.subject}: {one.actual}. {one.expected}. Fix: {one.fix}."


@pytest.mark.parametrize("mistake", IN_PLAIN, ids=lambda mistake: mistake["name"])
def test_mistake_in_plain_cloudformation_is_found_on_its_resource(mistake: dict[str, Any], tmp_path: Path) -> None:
    plain = json.loads(translated())
    for resource, body in mistake["resources"].items():
        before = plain["Resources"].setdefault(resource, {"Properties": {}})
        before.update({"Type": body.get("Type", before.get("Type"))})
        before["Properties"].update(body["Properties"])
    findings = of(tmp_path / "template.json", json.dumps(plain))
    assert [(one.level, one.subject, one.actual) for one in findings] == [
        (mistake.get("level", "error"), mistake["resource"], mistake["actual"])
    ]


def test_every_mistake_has_its_own_message() -> None:
    wrong = [(one["resource"], one["actual"]) for one in [*MISTAKES, *IN_PLAIN]]
    twice = {each for each in wrong if wrong.count(each) > 1}
    assert twice == {
        ("BridgeRole", 'no statement allows lambda:InvokeFunction on "history:live", which bridge.toml names')
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_small_template_has_exactly_these_findings(case: dict[str, Any]) -> None:
    base = FOLDER / case.get("base", "orders.yaml")
    known = read_options(parse_document(edited("orders.toml", case.get("map", []))).tables, [])
    text = edited(base.name, case.get("edits", []), case.get("add", ""))
    region = case.get("region", REGION)
    findings = template_findings(base, known, case.get("parameters", {}), region, text=text)
    assert sorted([one.level, one.subject, one.actual] for one in findings) == sorted(case["found"])


def test_case_names_are_unique() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) > 80
    assert len(set(names)) == len(names)


def test_rule_of_the_shipped_template_is_evaluated(tmp_path: Path) -> None:
    given = {"DomainName": "orders.example.org"}
    findings = template_findings(ROOT / "template.yaml", options(), given, REGION)
    assert [(one.level, one.subject) for one in findings] == [("error", "DomainWithCertificate")]


def test_several_mistakes_in_one_function_are_all_found(tmp_path: Path) -> None:
    """AWS's translator would stop at the first mistake."""
    name = "      FunctionName: counter-isolated\n"
    more = f"{name}      FunctionUrlConfig: {{AuthType: NONE}}\n      SnapStart: {{ApplyOn: PublishedVersions}}\n"
    findings = of(tmp_path / "template.yaml", TEMPLATE.replace(name, more))
    assert [one.actual for one in findings] == ["SnapStart is on", "it has a function URL (IsolatedFunctionUrl)"]


def test_refusal_of_the_translator_is_a_finding(tmp_path: Path) -> None:
    (finding,) = of(tmp_path / "template.yaml", TEMPLATE.replace("      CodeUri: .\n", "      Kode: .\n"))
    assert (finding.subject, "Kode" in finding.actual) == ("BridgeFunction", True)


def test_function_variable_counts_as_a_backend(tmp_path: Path) -> None:
    more = "        Variables:\n          LATTICE_BRIDGE_FUNCTION: orders:live\n"
    found = of(tmp_path / "template.yaml", TEMPLATE.replace("        Variables:\n", more))
    (finding,) = [one for one in found if one.subject == "BridgeRole"]
    assert finding.actual == 'no statement allows lambda:InvokeFunction on "orders:live", which bridge.toml names'


@pytest.mark.parametrize(("version", "found"), [("V1", True), ("V2", False)])
def test_certificate_rules_with_a_v1_target_group_are_a_warning(version: str, found: bool, tmp_path: Path) -> None:
    """Trap A16: the bridge reads no certificate from a V1 event."""
    rule = """
        [[rule]]
        id = "gateways"
        role = "arn:aws:iam::111122223333:role/gateway"
        tenant_from = "x509_san_uri"
        template = "spiffe://devices.example/tenant/{tenant}/gateway"
        x509_set_by = "only Roles Anywhere may assume the role"
    """
    known = (ROOT / "bridge.toml").read_text(encoding="utf-8")
    (tmp_path / "bridge.toml").write_text(known + dedent(rule), encoding="utf-8")
    text = TEMPLATE.replace("LambdaEventStructureVersion: V2", f"LambdaEventStructureVersion: {version}")
    (tmp_path / "template.yaml").write_text(text, encoding="utf-8")
    CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")])
    for config in ("bridge.toml", "bridge.json"):
        arguments = ["check", str(tmp_path / config), "--template", str(tmp_path / "template.yaml")]
        output = CliRunner().invoke(root, arguments).output
        assert ("warning: BridgeTargetGroup: its events are of V1, and gateways of bridge.toml" in output) is found


@pytest.mark.parametrize(("services", "found"), [("", []), ('services = ["arn:x"]', ["error"])])
def test_v1_target_group_is_an_error_only_if_the_map_lists_services(services: str, found: list[str]) -> None:
    """A V1 event does not contain its service. Without a list the bridge reads it as it reads V2."""
    v1 = edited("orders.yaml", [["LambdaEventStructureVersion: V2", "LambdaEventStructureVersion: V1"]])
    findings = orders(v1, map_edits=[["[[backend]]", f"[lattice]\n{services}\n[[backend]]"]])
    assert [(one.level, one.subject) for one in findings] == [(level, "Group") for level in found]


def test_alias_fix_depends_on_the_kind_of_function() -> None:
    """AutoPublishAlias is a property of SAM's functions; CloudFormation refuses it."""
    wanted = [['function = "orders"', 'function = "orders:live"']]
    for name, begins in (
        ("orders.yaml", "write an AWS::Lambda::Version"),
        ("orders.sam.yaml", "write AutoPublishAlias: live"),
    ):
        found = orders((FOLDER / name).read_text(encoding="utf-8"), map_edits=wanted)
        (alias,) = [one for one in found if one.actual.endswith("the function has no alias")]
        assert alias.fix.startswith(begins)


def test_right_on_another_qualifier_is_offered_as_the_name() -> None:
    """The likelier mistake is in bridge.toml: the template's own right names the alias."""
    aliased = [["Resource: !GetAtt Orders.Arn", 'Resource: !Sub "${Orders.Arn}:live"']]
    right = next(one for one in orders(edited("orders.yaml", aliased)) if one.level == "error")
    assert right.fix == (
        'add the ARN that ends in :function:orders to a Resource. If "orders:live" is meant, which the bridge may '
        'invoke, write function = "orders:live" in bridge.toml'
    )


def test_alias_that_no_function_has_is_not_named_none() -> None:
    """`!Ref Orders.Alias` of a function without AutoPublishAlias."""
    aliased = edited("orders.sam.yaml", [["Resource: !GetAtt Orders.Arn", "Resource: !Ref Orders.Alias"]])
    assert not [one.text for one in orders(aliased) if "None" in one.text]


def test_bridge_with_its_own_handler_is_found_by_its_target_group(tmp_path: Path) -> None:
    own = TEMPLATE.replace("lattice_bridge.main.handler", "app.handler")
    assert of(tmp_path / "template.yaml", own) == []
    assert of(tmp_path / "template.yaml", own.replace("                  - !Ref HistoryFunction.Alias\n", ""))


def test_log_level_above_info_is_a_warning(tmp_path: Path) -> None:
    json_logs = "        LogFormat: JSON # and"
    quiet = TEMPLATE.replace(json_logs, f"        ApplicationLogLevel: WARN\n{json_logs}")
    (finding,) = of(tmp_path / "template.yaml", quiet)
    assert (finding.level, finding.actual) == ("warning", "ApplicationLogLevel is WARN")


@pytest.mark.parametrize(
    "text",
    [
        "Transform: AWS::Serverless-2016-10-31\nResources: {F: {Type: AWS::Serverless::Function, Properties: }}",
        "Transform: AWS::Serverless-2016-10-31\nResources: {F: 3}",
        "Transform: AWS::Serverless-2016-10-31\nResources: []",
        "Transform: AWS::Serverless-2016-10-31\nGlobals: 3\nResources: {F: {Type: AWS::Serverless::Function}}",
        "Resources: {F: {Type: AWS::Lambda::Function, Properties: {Handler: lattice_bridge.x, Timeout: soon}}}",
        "Conditions: {A: !Not []}\nResources: {F: {Type: AWS::Lambda::Function, Condition: A}}",
        "{",
        "Transform: AWS::Serverless-2016-10-31\n{",
    ],
)
def test_malformed_template_ends_without_a_traceback(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    result = check("--template", str(tmp_path / "t.yaml"))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2), result.output


def test_template_without_a_bridge_is_an_error(tmp_path: Path) -> None:
    (finding,) = of(tmp_path / "t.yaml", "Resources: {T: {Type: AWS::SQS::Queue}}")
    assert finding.actual.startswith("no bridge: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Timeout: 35", "Timeout: .nan", "Bridge.Timeout: nan is not a positive number"),
        ("Timeout: 35", "Timeout: 35\n      Environment: x", "Bridge.Environment: 'x' is not a map"),
        ("Config: {LambdaEventStructureVersion: V2}", "Config: V2", "Group.Config: 'V2' is not a map"),
        ("  Orders:\n", "  BridgeRole:\n", "orders.yaml: line 45: BridgeRole occurs twice"),
    ],
)
def test_malformed_part_is_refused_with_its_place(old: str, new: str, message: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        orders(edited("orders.yaml", [[old, new]]))
    assert str(caught.value).endswith(message)


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The paths in a value where an intrinsic function may be: everywhere except inside another."""
    if isinstance(value, dict) and not (len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))):
        for key, entry in value.items():
            yield (*path, key)
            yield from places(entry, *path, key)
    elif isinstance(value, list):
        for at, entry in enumerate(value):
            yield (*path, at)
            yield from places(entry, *path, at)


def test_imported_part_is_never_malformed() -> None:
    plain = json.loads(translated())
    known, tried = options(), 0
    for name, resource in plain["Resources"].items():
        for path in places(resource["Properties"]):
            tried += 1
            parent = resource["Properties"]
            for key in path[:-1]:
                parent = parent[key]
            before, parent[path[-1]] = parent[path[-1]], {"Fn::ImportValue": "x"}
            template = resolve(plain, Path("t.json"), {}, REGION, deployed=True)
            with malformed(f"{name} {path}"):
                list(findings_of(template, known))
            parent[path[-1]] = before
    assert tried > 300


def test_map_that_does_not_load_is_the_only_finding() -> None:
    text = edited("orders.yaml", [])
    (finding,) = template_findings(FOLDER / "orders.yaml", None, {}, REGION, text=text)
    assert (finding.level, finding.actual.startswith("the functions were not compared with bridge.toml")) == (
        "warning",
        True,
    )


def test_role_outside_the_template_is_a_warning(tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/bridge"
    (finding,) = of(tmp_path / "template.yaml", TEMPLATE.replace("!GetAtt BridgeRole.Arn", role))
    assert (finding.level, finding.subject) == ("warning", "BridgeFunction")
    assert role in finding.actual


# ---- the command ----------------------------------------------------------------------------------------------------


def test_command_checks_map_and_template() -> None:
    result = check("--template", str(ROOT / "template.yaml"))
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].endswith("template.yaml: no errors, no warnings")
    assert "bridge.toml: 2 rules, 3 tenants, 3 tests: no errors" in result.output


@pytest.mark.parametrize(
    ("written", "is_near"), [("ordrs", True), ("Orders", True), ("billing", False), ("orders", False)]
)
def test_backend_with_nearly_the_name_of_a_function_is_a_warning(written: str, *, is_near: bool) -> None:
    found = [
        one
        for one in orders(edited("orders.yaml", []), map_edits=[['function = "orders"', f'function = "{written}"']])
        if "has no such function" in one.text
    ]
    assert [(one.level, one.fix) for one in found] == [("warning", 'if it is meant, write "orders"')] * is_near


def test_open_service_is_accepted_with_unsigned() -> None:
    template = ["--template", str(ROOT / "template.yaml"), "--parameter", "AuthType=NONE"]
    refused = check(*template)
    assert (refused.exit_code, "Service: AuthType is NONE" in refused.output) == (1, True)
    assert check(*template, "--unsigned").exit_code == 0


def test_json_finding_has_all_fields(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(changed(MISTAKES[0]), encoding="utf-8")
    result = check("--template", str(tmp_path / "t.yaml"), "--format", "json")
    (found,) = [one for one in json.loads(result.output) if one["level"] == "error"]
    fields = {"file", "level", "subject", "text", "line", "column", "actual", "expected", "fix"}
    assert (result.exit_code, set(found)) == (1, fields)
    assert found["file"] == str(tmp_path / "t.yaml")
    line = (tmp_path / "t.yaml").read_text(encoding="utf-8").splitlines()[found["line"] - 1]
    assert line[found["column"] - 1 :] == f"{found['subject']}:"


def written(folder: Path, text: str, name: str = "t.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def sarif(template: str) -> list[dict[str, Any]]:
    """The results in the one run."""
    (run,) = json.loads(check("--template", template, "--format", "sarif").output)["runs"]
    found: list[dict[str, Any]] = run["results"]
    return found


def test_sarif_has_the_uri_and_line_of_the_resource(tmp_path: Path) -> None:
    text = changed(MISTAKES[0])
    found = sarif(written(tmp_path, text, "my template.yaml"))
    places = [one["locations"][0]["physicalLocation"] for one in found if one["level"] == "error"]
    ((uri, line),) = [(one["artifactLocation"]["uri"], one["region"]["startLine"]) for one in places]
    assert uri.endswith("/my%20template.yaml")
    assert text.splitlines()[line - 1] == "  IsolatedFunction:"


def test_sarif_line_is_that_of_the_resource_not_of_its_name_elsewhere(tmp_path: Path) -> None:
    text = TEMPLATE.replace("BridgeFunction", "Function").replace("!Ref BridgeTimeout\n", "28\n")
    assert text.count("\n  Function:\n") == 2, "Globals has one as well"
    found = [one for one in sarif(written(tmp_path, text)) if one["message"]["text"].startswith("Function: Timeout")]
    (line,) = [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in found]
    assert line == text[: text.rindex("\n  Function:\n")].count("\n") + 2


def test_unreadable_template_hides_no_finding_of_the_map(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("Resources: [", encoding="utf-8")
    result = check("--template", str(tmp_path / "t.yaml"))
    assert (result.exit_code, "3 tests: no errors" in result.output) == (2, True)
    as_json = check("--template", str(tmp_path / "t.yaml"), "--format", "json")
    found = json.loads(as_json.output)[-1]
    assert (as_json.exit_code, found["level"], "not YAML" in found["text"]) == (2, "error", True)


@contextmanager
def piped(text: str) -> Iterator[str]:
    """A file that can be read once."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write(text)
    yield f"/dev/fd/{reading}"
    os.close(reading)


def test_template_in_a_pipe_is_read_once() -> None:
    with piped(edited("orders.yaml", [])) as path:
        result = CliRunner().invoke(root, ["check", str(FOLDER / "orders.toml"), "--template", path])
    assert result.exit_code == 0, result.output


def test_region_is_compared_only_if_given() -> None:
    there = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    text, names = edited("orders.yaml", []), [['"orders"', f'"{there}"']]
    assert orders(text, map_edits=names) == []
    error, _ = orders(text, map_edits=names, parameters={"AWS::Region": REGION})
    assert error.actual == f'no statement allows lambda:InvokeFunction on "{there}", which bridge.toml names'


def test_region_of_the_environment_is_compared(tmp_path: Path) -> None:
    there = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    (tmp_path / "bridge.toml").write_text(edited("orders.toml", [['"orders"', f'"{there}"']]), encoding="utf-8")
    command = ["check", str(tmp_path / "bridge.toml"), "--template", str(FOLDER / "orders.yaml")]
    found = [CliRunner().invoke(root, command, env={"AWS_REGION": where}).exit_code for where in ("eu-west-1", REGION)]
    assert found == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--template", "nothing.yaml"], "nothing.yaml: No such file or directory"),
        (["--template", str(ROOT / "bridge.toml")], "not YAML"),
        (["--template", str(ROOT / "template.yaml"), "-P", "AuthType=MAYBE"], "'MAYBE' is not one of AWS_IAM, NONE"),
        (["--template", str(ROOT / "template.yaml"), "-P", "AWS::AccountId=1111-2222-3333"], "is not 12 digits"),
        (["--template", str(ROOT / "template.yaml"), "-P", "AuthType"], "write NAME=VALUE"),
        (["--unsigned"], "need --template"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    result = check(*arguments)
    assert (result.exit_code, message in result.output) == (2, True), result.output


WITHOUT_TRANSLATOR: Final = """
import json, sys
sys.modules["samtranslator"] = None
from click.testing import CliRunner
from lattice_bridge.cli.root import root
found = [CliRunner().invoke(root, ["check", "bridge.toml", "--template", one]) for one in sys.argv[1:]]
json.dump([(one.exit_code, one.output) for one in found], sys.stdout)
"""


def test_only_sam_needs_the_translator(tmp_path: Path) -> None:
    """Without it, the message names the package."""
    (tmp_path / "t.json").write_text(translated(), encoding="utf-8")
    command = [sys.executable, "-c", WITHOUT_TRANSLATOR, "template.yaml", str(tmp_path / "t.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (sam, refused), (plain, accepted) = json.loads(done.stdout)
    assert (sam, "pip install 'lattice-bridge[local,template]'" in refused) == (2, True), refused
    assert (plain, "t.json: no errors, no warnings" in accepted) == (0, True), accepted


def test_translator_prints_nothing() -> None:
    """AWS's translator logs warnings about features of AWS's own."""
    command = [sys.executable, "-m", "lattice_bridge", "check", "bridge.toml", "--template", "template.yaml"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("parameter", "found"),
    [
        ("AuthType=NONE", "LATTICE_BRIDGE_CONFIG is examples/open.toml, and bridge.toml was checked"),
        ("ConfigFile=maps/prod.toml", "LATTICE_BRIDGE_CONFIG is maps/prod.toml, and bridge.toml was checked"),
        ("ConfigFile=maps/bridge.toml", None),
        ("ConfigObject=a-bucket/prod.toml", None),
        ("ConfigParameter=/map", None),
    ],
)
def test_bridge_that_reads_another_file_is_a_warning(parameter: str, found: str | None) -> None:
    result = check("--template", str(ROOT / "template.yaml"), "--unsigned", "--parameter", parameter, "--json")
    wrong = [one.get("actual") for one in json.loads(result.output) if one["file"].endswith("template.yaml")]
    assert (result.exit_code, wrong) == (0, [found] if found else [])
