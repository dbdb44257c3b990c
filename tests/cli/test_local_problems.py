"""The problems that `lattice-bridge local` finds before it serves: backends and routed functions that cannot run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.local_problems import problems
from lattice_bridge.cli.root import root
from lattice_bridge.local.definition import read_definition
from tests.support import rest

TEMPLATE: Final = """
Resources:
  Bridge:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: orders
      Handler: app.handler
      Runtime: python3.13
      CodeUri: .
      AutoPublishAlias: live
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Go: {Type: "AWS::Serverless::Function", Properties: {FunctionName: go, Handler: a.b, Runtime: go1.x}}
  Empty:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: empty, Handler: a.b, Runtime: python3.13, CodeUri: nowhere}
  Targets: {Type: "AWS::VpcLattice::TargetGroup", Properties: {Type: LAMBDA, Targets: [{Id: TARGET}]}}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: shop, AuthType: NONE}}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Targets, Weight: 1}]}}
"""
TARGET: Final = "!GetAtt Bridge.Arn"
MAP: Final = """
[[backend]]
function = "orders:live"
[tenants]
blue = {}
[[rule]]
id = "blue"
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "blue"
"""
BACKEND: Final = 'bridge.toml: [[backend]] path = "/": '
ROUTE: Final = "Lattice shop: any *: "
NO_COMMAND: Final = "Runtime go1.x has no command. Fix: write one in [local.runtimes] of local.toml"


def write(folder: Path, *, target: str = TARGET, bridge: str = MAP) -> Path:
    template = folder / "template.yaml"
    template.write_text(TEMPLATE.replace("TARGET", target), encoding="utf-8")
    (folder / "bridge.toml").write_text(bridge, encoding="utf-8")
    (folder / "app.py").touch()
    return template


def found(template: Path) -> list[str]:
    found = read_definition(template, {}, "us-east-1")
    return problems(found.plan, found.configurations)


def test_plan_that_works_has_no_problem(tmp_path: Path) -> None:
    assert found(write(tmp_path)) == []


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("order:live", "the template has no function 'order'; did you mean 'orders'?"),
        ("stock", "the template has no function 'stock'; it has 'Bridge', 'orders'"),
        ("go", "the function 'go' cannot run here; its own line has the reason"),
        ("empty", "the function 'empty' cannot run here; its own line has the reason"),
        (
            "orders:beta",
            "the function 'orders' has no alias 'beta'; it has live. "
            "Fix: write AutoPublishAlias: beta in the template, or a function without an alias",
        ),
        (
            "arn:aws:lambda:eu-west-1:111122223333:function:orders",
            "'arn:aws:lambda:eu-west-1:111122223333:function:orders' is in another account or Region, "
            "and the stack does not run it",
        ),
        (
            'orders"\nisolated = false\n#"',
            "the function 'orders' has a TenancyConfig. Fix: write isolated = true, or change the template",
        ),
        (
            "Bridge",
            "the function 'Bridge' does not have a TenancyConfig. Fix: write isolated = false, or change the template",
        ),
    ],
)
def test_backend_that_cannot_be_invoked_is_a_problem(tmp_path: Path, function: str, problem: str) -> None:
    assert found(write(tmp_path, bridge=MAP.replace("orders:live", function))) == [BACKEND + problem]


def test_isolated_function_without_a_bridge_in_front_is_a_problem(tmp_path: Path) -> None:
    (problem,) = found(write(tmp_path, target="!GetAtt Orders.Arn"))
    fix = "Fix: make a bridge the target, and this function a [[backend]] of its bridge.toml"
    assert problem == f"{ROUTE}the function 'orders' has a TenancyConfig, and gets no tenant id. {fix}"


@pytest.mark.parametrize("handler", ["ap.handler", "src/app.handler", "app.deep.handler"])
def test_handler_whose_module_is_missing_is_a_problem(tmp_path: Path, handler: str) -> None:
    template = write(tmp_path)
    template.write_text(template.read_text().replace("app.handler", handler), encoding="utf-8")
    (problem,) = found(template)
    assert problem.startswith(f"{BACKEND}orders: Handler {handler!r}: there is no module ")
    assert problem.endswith("The folder contains 'app'.")


@pytest.mark.parametrize("file", ["ap.py", "ap/__init__.py", "ap.cpython-313-x86_64-linux-gnu.so", "requirements.txt"])
def test_handler_whose_module_is_or_may_be_there_is_no_problem(tmp_path: Path, file: str) -> None:
    """A package of requirements.txt may contain it, as Datadog's does."""
    template = write(tmp_path)
    template.write_text(template.read_text().replace("app.handler", "ap.handler"), encoding="utf-8")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert found(template) == []


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("!GetAtt Go.Arn", "the function 'go' cannot run here; its own line has the reason"),
        ("!GetAtt Empty.Arn", "the function 'empty' cannot run here; its own line has the reason"),
        ("elsewhere", "the template has no function 'elsewhere'; it has 'Bridge', 'orders'"),
    ],
)
def test_routed_function_that_cannot_run_is_a_problem(tmp_path: Path, target: str, problem: str) -> None:
    assert found(write(tmp_path, target=target)) == [ROUTE + problem]


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (
            rest.to("isolated"),
            "the function 'isolated' has a TenancyConfig, and gets no tenant id. Fix: map X-Amz-Tenant-Id",
        ),
        (rest.to("isolated", requestParameters=rest.tenant_from("'blue'")), None),
        (
            rest.to("orders", requestParameters=rest.tenant_from("'blue'")),
            "the function 'orders' has no TenancyConfig, and gets a tenant id. Fix: remove the mapping",
        ),
        (rest.to("order"), "the template has no function 'order'; did you mean 'orders'?"),
        ({**rest.to("orders"), "security": [{"guard": []}]}, "the authorizer: the template has no function 'gard'"),
    ],
)
def test_method_of_a_rest_api_that_lambda_would_refuse_is_a_problem(
    operation: dict[str, Any], problem: str | None, tmp_path: Path
) -> None:
    uri = rest.to("gard")["x-amazon-apigateway-integration"]["uri"]
    guard = {"name": "X", "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": uri}}
    plan = rest.write(tmp_path, rest.api({"/a": {"get": operation}}, components={"securitySchemes": {"guard": guard}}))
    (tmp_path / "a.py").touch()
    found = problems(plan, ())
    assert found == [] if problem is None else found[0].startswith(f"REST API Api: GET /prod/a: {problem}")


def test_function_whose_process_cannot_start_is_a_problem_once(tmp_path: Path) -> None:
    """The line of a rule or of a backend contains it, or it has a line of its own."""
    program = tmp_path.resolve() / "bootstrap"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o644)
    for target, start in (("!GetAtt Go.Arn", ROUTE), (TARGET, "")):
        template = write(tmp_path, target=target)
        template.write_text(template.read_text().replace("go1.x", "provided.al2023"), encoding="utf-8")
        assert found(template) == [f"{start}go: {str(program)!r} is not executable. Fix: chmod +x {program}"]


def test_fault_of_several_routes_is_one_line(tmp_path: Path) -> None:
    paths = {f"/{name}": {"get": rest.to("nowhere")} for name in "abc"}
    (tmp_path / "a.py").touch()
    (problem,) = problems(rest.write(tmp_path, rest.api(paths)), ())
    assert problem.startswith("REST API Api: GET /prod/a and 2 more: the template has no function 'nowhere'")


def test_fault_of_several_functions_is_one_line(tmp_path: Path) -> None:
    """Functions of one folder lack the same packages, and a template may have thirty of them."""
    one = "Fn{n}: {{Type: 'AWS::Lambda::Function', Properties: {{Handler: a.b, Runtime: nodejs20.x, Code: .}}}}"
    functions = "".join(f"  {one.format(n=number)}\n" for number in range(6))
    (tmp_path / "template.yaml").write_text(f"Resources:\n{functions}", encoding="utf-8")
    (tmp_path / "a.js").touch()
    (tmp_path / "package.json").write_text('{"dependencies": {"left-pad": "^1"}}', encoding="utf-8")
    (problem,) = found(tmp_path / "template.yaml")
    assert problem.startswith('Fn0, Fn1, Fn2 and 3 more: package.json lists "left-pad", which is not installed.')


def test_bridge_toml_that_does_not_load_is_a_problem_with_all_its_faults(tmp_path: Path) -> None:
    first, *faults = found(write(tmp_path, bridge="[tenants]\nblue = 1\n"))
    assert first == "Bridge answers every request with 503, because its bridge.toml does not load:"
    assert len(faults) >= 2
    assert all(fault.startswith("  - ") for fault in faults)


def test_configuration_in_s3_is_left_to_the_bridge(tmp_path: Path) -> None:
    template = write(tmp_path, bridge="[")
    variables = "CodeUri: ., Environment: {Variables: {LATTICE_BRIDGE_CONFIG: s3://bucket/key}}}"
    template.write_text(template.read_text().replace("CodeUri: .}", variables, 1))
    assert found(template) == []


def local(template: Path, *options: str) -> Result:
    return CliRunner().invoke(root, ["local", "-t", str(template), *options])


def test_strict_exits_with_2_before_anything_is_served(tmp_path: Path) -> None:
    done = local(write(tmp_path, target="!GetAtt Go.Arn"), "--strict", "--port", "0", "--lambda-port", "0")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        'go: not run: Runtime go1.x has no command. Fix: write go1.x = ["COMMAND", …] under [local.runtimes] in '
        "local.toml, or start with --function go=URL",
        'empty: not run: there is no folder "nowhere". Fix: correct CodeUri, or run the build that makes it',
        f"{ROUTE}the function 'go' cannot run here; its own line has the reason",
    ]


@pytest.mark.parametrize(
    ("target", "options", "code"),
    [(TARGET, ["--strict"], 0), ("!GetAtt Go.Arn", [], 0), ("!GetAtt Go.Arn", ["--strict"], 2)],
)
def test_plan_shows_problems_and_is_strict_if_asked(tmp_path: Path, target: str, options: list[str], code: int) -> None:
    done = local(write(tmp_path, target=target), "--plan", *options)
    assert done.exit_code == code
    assert "Functions" in done.stdout
    assert ("'go' cannot run here" in done.stderr) == (target != TARGET)


def test_fault_of_the_map_has_its_place(tmp_path: Path) -> None:
    template = write(tmp_path, bridge=MAP.replace('tenant = "blue"', 'tenant = "bleu"'))
    assert any(line.startswith("  - bridge.toml:9:10: rule ") for line in found(template))


def test_tables_without_moto_are_named_with_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TABLES, encoding="utf-8")
    definition = read_definition(path, {}, "us-east-1")
    assert problems(definition.plan, definition.configurations, lambda: True) == []
    assert problems(definition.plan, definition.configurations, lambda: False) == [
        "tables Orders, Carts: moto from 5.2.5, which emulates tables, is not installed. "
        "Fix: pip install 'lattice-bridge[dynamodb]'"
    ]


TABLES: Final = """
Resources:
  Orders: {Type: AWS::Serverless::SimpleTable}
  Carts: {Type: AWS::Serverless::SimpleTable}
"""
