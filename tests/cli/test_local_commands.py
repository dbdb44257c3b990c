"""The commands that `lattice-bridge local` prints, each of them decided as the stack would decide it."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from lattice_bridge import TenantMap, parse_event
from lattice_bridge.cli.local_commands import commands, first_command
from lattice_bridge.cli.root import root
from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.local.bridge.trust import LocalTrust
from lattice_bridge.local.definition import Definition, read_definition
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.lattice.authorization import authorize
from lattice_bridge.local.front.lattice.events import event_v2
from lattice_bridge.local.front.lattice.service import origin_of
from lattice_bridge.local.plan.listener_rules import action_for

BRIDGE: Final = """
Resources:
  Bridge:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
  Group:
    Type: AWS::VpcLattice::TargetGroup
    Properties: {Type: LAMBDA, Config: {LambdaEventStructureVersion: V2}, Targets: [{Id: !GetAtt Bridge.Arn}]}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: orders, AuthType: AWS_IAM}}
  Policy:
    Type: AWS::VpcLattice::AuthPolicy
    Properties:
      ResourceIdentifier: !Ref Service
      Policy: {Statement: [{Effect: Allow, Principal: "*", Action: "*", Resource: "*"}]}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Group, Weight: 1}]}}
"""
ALLOWED: Final = 'Principal: "*", Action: "*"'
ACCOUNT: Final = "arn:aws:iam::111122223333"
MAP: Final = (
    '[[backend]]\nfunction = "orders"\npath = "/orders"\n[tenants]\nred = { status = "suspended" }\nblue = {}\n'
)
ROLE: Final = f'[[rule]]\nid = "blue"\nrole = "{ACCOUNT}:role/blue-api"\ntenant = "blue"\n'
ANYONE: Final = '[[rule]]\nid = "open"\nanyone = true\ntenants = "*"\naccept_risk = "a demonstration"\n'
CORP: Final = (
    '[jwt.corp]\nissuer = "https://issuer.example"\naudience = ["orders"]\nalgorithms = ["ES256"]\n'
    'jwks_url = "https://127.0.0.1:1/keys"\n'
)


class Log:
    """Drops every line."""

    def warning(self, text: str) -> None:
        pass


class Printed:
    """What is printed for a map and a template."""

    def __init__(self, folder: Path, tables: str, template: str = BRIDGE, identities: str | None = None) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        (self.folder / "template.yaml").write_text(template, encoding="utf-8")
        (self.folder / "bridge.toml").write_text(tables, encoding="utf-8")
        if identities is not None:
            (self.folder / "identities.toml").write_text(identities, encoding="utf-8")
        self.environ = {"XDG_CACHE_HOME": str(folder / "cache")}
        self.definition: Definition = read_definition(self.folder / "template.yaml", {}, "us-east-1")
        self.lines = list(commands(self.definition, "http://front", "http://lambda"))

    @property
    def curls(self) -> dict[str, str]:
        """The tenant of the comment → the command below it."""
        pairs = zip(self.lines, self.lines[1:], strict=False)
        return {_tenant(comment): line.strip() for comment, line in pairs if line.startswith("  curl ")}

    def tenant_of(self, command: str) -> str | None:
        """The tenant that the stack decides for a command."""
        request, user = self._request(command)
        service = self.definition.plan.services[0]
        identity = self.definition.identities[user.partition(":")[0]] if user else None
        assert identity is None or user == f"{identity.access_key}:{identity.secret_key}"
        signer = identity.signer(identity.session) if identity else None
        authorize(service, request, signer)
        group, _ = action_for(service.rules, "GET", request.target, request.headers).forward[0]
        event = event_v2(request, origin_of(service, group, "id"), signer)
        trust = LocalTrust(self.folder.parent / "stack", Log(), self.environ)
        (self.folder.parent / "stack").mkdir(exist_ok=True)
        plan, _ = asyncio.run(trust.applied(self.definition.plan))
        path = self.folder / plan.functions["Bridge"].environment.get(CONFIG_VARIABLE, "bridge.toml")
        decision = TenantMap.from_file(path).decide(parse_event(event))
        return decision.tenant or decision.reason

    def _request(self, command: str) -> tuple[HttpRequest, str]:
        """Reads a command as a shell and curl do."""
        command = re.sub(r'"([^"]*)\$\((.*)\)"', lambda found: shlex.quote(found[1] + self._token(found[2])), command)
        words, headers, user = shlex.split(command)[1:], [], ""
        while len(words) > 1:
            option = words.pop(0)
            if option == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers.append((name.lower(), value))
            elif option in ("--user", "--aws-sigv4"):
                value = words.pop(0)
                user = value if option == "--user" else user
        return HttpRequest("GET", words[0].removeprefix("http://front"), [("host", "orders"), *headers]), user

    def _token(self, command: str) -> str:
        _, *arguments = shlex.split(command)
        found = CliRunner().invoke(root, arguments, env=self.environ)
        assert (found.exit_code, found.stderr) == (0, "")
        return found.stdout.strip()


def _tenant(comment: str) -> str:
    found = re.search(r"runs as (\S+)", comment)
    return f"{comment[4:8]} {found[1] if found else '-'}"


def test_each_kind_of_caller_gets_a_command_that_works(tmp_path: Path) -> None:
    claim = 'tenant_from = "claim"\nclaim = ["app", "custom:tenant"]\ntemplate = "t-{tenant}"\n'
    rule = f'[[rule]]\nid = "staff"\njwt = "corp"\n{claim}'
    printed = Printed(tmp_path, MAP + ROLE + ANYONE + CORP + rule)
    assert list(printed.curls) == ["sign blue", "with blue"]
    assert {printed.tenant_of(line) for line in printed.curls.values()} == {"blue"}
    assert "--user LOCALBLUEAPI:blueapi" in printed.curls["sign blue"]
    assert len([line for line in printed.lines if line.startswith("  curl ")]) == 3


@pytest.mark.parametrize(
    ("rule", "argument"),
    [
        ('tenant = "blue"', ""),
        ('tenants = ["blue"]', ""),
        ('tenants = "*"\naccept_risk = "trusted"', ""),
        ('tenant_from = "claim"\nclaim = ["tenant"]', "--claim tenant=blue"),
        ('tenant_from = "claim"\nclaim = ["all"]\nclaim_is_list = true', "--claim 'all:=[\"blue\"]'"),
    ],
)
def test_token_fits_its_rule(rule: str, argument: str, tmp_path: Path) -> None:
    printed = Printed(tmp_path, f'{MAP}{CORP}[[rule]]\nid = "staff"\njwt = "corp"\n{rule}\n')
    (command,) = printed.curls.values()
    assert argument in command
    assert printed.tenant_of(command) == "blue"


def test_tokens_own_header_is_named(tmp_path: Path) -> None:
    rule = '[[rule]]\nid = "staff"\njwt = "corp"\ntenant = "blue"\n'
    printed = Printed(tmp_path, f'{MAP}{CORP}header = "x-id-token"\n{rule}')
    (command,) = printed.curls.values()
    assert '-H "x-id-token: $(' in command
    assert printed.tenant_of(command) == "blue"


@pytest.mark.parametrize(
    "rule",
    [
        f'user = "{ACCOUNT}:user/team/Ann"\ntenant = "blue"',
        f'root = "{ACCOUNT}:root"\ntenant = "blue"',
        'account = "111122223333"\ntenant = "blue"',
        'sso = { account = "111122223333", permission_set = "Support" }\ntenant = "blue"',
        f'role = "{ACCOUNT}:role/blue-*"\ntenants = ["red", "blue"]',
        f'role = "{ACCOUNT}:role/ci"\nsession = "deploy"\ntenant = "blue"\nsession_set_by = "CI"',
        f'role = "{ACCOUNT}:role/ci"\norg = "o-a1b2c3d4e5"\ntenant = "blue"',
        f'role = "{ACCOUNT}:role/ci"\ntenant_from = "session"\ntemplate = "t.{{tenant}}"\nsession_set_by = "CI"',
        f'role = "{ACCOUNT}:role/ra"\ntenant_from = "x509_san_uri"\ntemplate = "spiffe://a.example/{{tenant}}"\n'
        'x509_set_by = "Roles Anywhere"',
        'federated_user = "arn:aws:sts::111122223333:federated-user/ann"\ntenant = "blue"\nsession_set_by = "CI"',
    ],
    ids=lambda rule: str(rule.partition(" =")[0]),
)
def test_caller_that_a_rule_names_can_sign(rule: str, tmp_path: Path) -> None:
    printed = Printed(tmp_path, f'{MAP}[[rule]]\nid = "only"\n{rule}\n')
    (command,) = printed.curls.values()
    assert "--user LOCAL" in command
    assert printed.tenant_of(command) == "blue"


def test_caller_that_no_rule_allows_gets_no_command(tmp_path: Path) -> None:
    vpc = f'[[rule]]\nid = "blue"\nrole = "{ACCOUNT}:role/blue-api"\nvpc = "vpc-00000000000000000"\ntenant = "blue"\n'
    printed = Printed(tmp_path, MAP + vpc)
    assert printed.curls == {}
    reason = "condition_failed: a further condition of rule blue does not hold"
    assert f"No request is allowed yet: {reason}" in printed.lines


def test_caller_that_the_auth_policy_refuses_gets_no_command(tmp_path: Path) -> None:
    """Trap G9: the policy names the role as IAM writes it, with its path and its letters."""
    policy = f'Principal: {{AWS: "{ACCOUNT}:role/Blue-Api"}}, Action: "*"'
    rules = ROLE.replace("blue-api", "Blue-Api") + ROLE.replace("blue", "green", 2).replace("blue-api", "green-api")
    printed = Printed(tmp_path, MAP + rules.replace('"green-api"', '"x"') + ANYONE, BRIDGE.replace(ALLOWED, policy))
    (command,) = printed.curls.values()
    assert "--user LOCALBLUEAPI:blueapi" in command
    assert not [line for line in printed.lines if "without a credential" in line or "LOCALGREEN" in line]


def test_reason_is_given_if_no_request_is_allowed(tmp_path: Path) -> None:
    printed = Printed(tmp_path, MAP + ROLE, BRIDGE.replace("Effect: Allow", "Effect: Deny, Sid: Closed"))
    assert printed.curls == {}
    reason = "statement 'Closed' of the auth policy Policy of the service Service denies it"
    assert f"No request is allowed yet: {reason}" in printed.lines


def test_identity_of_the_file_is_preferred(tmp_path: Path) -> None:
    own = f'[[identity]]\naccess_key = "MINE"\nsecret_key = "$(id)"\nprincipal = "{ACCOUNT}:role/blue-api"\n'
    printed = Printed(
        tmp_path, MAP + ROLE + ROLE.replace("blue-api", "b").replace('"blue"', '"two"', 1), identities=own
    )
    (command,) = printed.curls.values()
    assert "--user 'MINE:$(id)'" in command
    assert "  # other values of --user: LOCALB:b (role b, runs as blue)" in printed.lines


def test_other_key_that_needs_another_command_is_not_named(tmp_path: Path) -> None:
    several = ROLE.replace('"blue"', '"two"', 1).replace("blue-api", "b").replace('tenant = "blue"', 'tenants = "*"')
    tables = MAP.replace("blue = {}", "blue = {}\ngreen = {}") + ROLE + several
    printed = Printed(tmp_path, tables)
    assert not [line for line in printed.lines if "other values" in line]


def test_service_is_named_if_there_are_several(tmp_path: Path) -> None:
    listener = "ServiceIdentifier: !Ref Other, DefaultAction: {FixedResponse: {StatusCode: 404}}"
    other = f"""{BRIDGE}
  Other: {{Type: "AWS::VpcLattice::Service"}}
  OtherListener: {{Type: "AWS::VpcLattice::Listener", Properties: {{{listener}}}}}
"""
    (command,) = Printed(tmp_path, MAP + ROLE, other).curls.values()
    assert "-H 'Host: service'" in command


@pytest.mark.parametrize("tables", ["[", MAP + ROLE.replace("tenant =", "tenannt =")])
def test_map_that_does_not_load_gives_no_command_for_requests(tables: str, tmp_path: Path) -> None:
    """`local_problems` shows its faults."""
    assert not Printed(tmp_path, tables).curls


def test_first_command_is_that_of_the_start(tmp_path: Path) -> None:
    """The inspector's empty list shows it."""
    printed = Printed(tmp_path, MAP + ROLE)
    found = first_command(printed.definition, "http://front", "http://lambda")
    assert found == next(iter(printed.curls.values()))


def test_map_that_is_not_a_file_is_named(tmp_path: Path) -> None:
    variables = "CodeUri: ., Environment: {Variables: {LATTICE_BRIDGE_CONFIG: s3://maps/bridge.toml}}}"
    printed = Printed(tmp_path, "", BRIDGE.replace("CodeUri: .}", variables))
    assert "No commands for requests to Bridge: its map is not a file, but s3://maps/bridge.toml." in printed.lines
    assert not printed.curls


def test_command_to_paste_is_quoted(tmp_path: Path) -> None:
    """Trap G5."""
    template = BRIDGE.replace(
        "  Group:",
        "  Orders:\n    Type: AWS::Serverless::Function\n    Properties: {FunctionName: $(id), Handler: app.handler, "
        "Runtime: python3.13, CodeUri: ., TenancyConfig: {TenantIsolationMode: PER_TENANT}}\n  Group:",
        1,
    )
    printed = Printed(tmp_path, MAP.replace("/orders", "/a';id;'[1]") + ROLE, template)
    (command,) = printed.curls.values()
    assert shlex.split(command)[-2:] == ["-g", "http://front/a';id;'[1]"]
    assert not [line for line in printed.lines if "$(id)" in line]


def test_function_without_a_bridge_gets_a_command(tmp_path: Path) -> None:
    printed = Printed(tmp_path, "", BRIDGE.replace("lattice_bridge.main.handler", "app.handler"))
    assert [line for line in printed.lines if line.startswith("  ")] == [
        "  # signed as the role blue-api",
        "  curl --aws-sigv4 aws:amz:us-east-1:vpc-lattice-svcs -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "
        "--user LOCALBLUE:blue http://front/",
        "  # other values of --user: LOCALGREEN:green (role green-api)",
        "  # without a credential",
        "  curl http://front/",
    ]


def test_template_without_a_way_in_gets_the_command_that_invokes(tmp_path: Path) -> None:
    function = "Fn: {Type: 'AWS::Lambda::Function', Properties: {Handler: a.b, Runtime: python3.13TENANCY}}"
    tenancy = ", TenancyConfig: {TenantIsolationMode: PER_TENANT}"
    printed = Printed(tmp_path, "", f"Resources:\n  {function.replace('TENANCY', '')}\n")
    title, about, command, _ = printed.lines
    assert title.startswith("The template has no API, load balancer, function URL or Lattice service. ")
    assert about == "  # directly to a function"
    assert "aws lambda invoke --endpoint-url http://lambda --region us-east-1 --function-name Fn --payload" in command
    (tmp_path / "second").mkdir()
    isolated = Printed(tmp_path / "second", "", f"Resources:\n  {function.replace('TENANCY', tenancy)}\n")
    assert "--function-name Fn --tenant-id=blue " in isolated.lines[2]


@pytest.mark.parametrize(("handler", "about"), [("main", ", as the bridge does"), ("authorizer", "")])
def test_command_that_invokes_mentions_a_bridge_only_if_there_is_one(tmp_path: Path, handler: str, about: str) -> None:
    isolated = (
        "  Orders:\n    Type: AWS::Lambda::Function\n    Properties: {Handler: a.b, Runtime: python3.13, "
        "TenancyConfig: {TenantIsolationMode: PER_TENANT}}\n"
    )
    template = BRIDGE.replace("lattice_bridge.main", f"lattice_bridge.{handler}").rstrip("\n") + f"\n{isolated}"
    assert f"  # directly to a function{about}" in Printed(tmp_path, "", template).lines
