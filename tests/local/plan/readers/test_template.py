"""The plan of a template: served parts, reported parts, and the rule that a request matches."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.front.exchange.identities import BadIdentities, read_identities
from lattice_bridge.local.plan.auth_policy import admitted_callers
from lattice_bridge.local.plan.listener_rules import (
    Action,
    HeaderMatch,
    Match,
    TargetGroup,
    action_for,
    choose_target_group,
    matches,
)
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.readers.template import read_plan
from tests.support.paths import ROOT

USER = "arn:aws:iam::111122223333:user/x"
FORWARD = "{Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Group, Weight: 1}]}}"
SERVED = """
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: orders}}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Group, Weight: 1}]}}
  Group: {Type: "AWS::VpcLattice::TargetGroup", Properties: {Type: LAMBDA, Targets: [{Id: !GetAtt Fn.Arn}]}}
  Fn: {Type: "AWS::Serverless::Function", Properties: {Handler: a.b, Runtime: python3.13}}
"""


def planned(folder: Path, resources: str) -> Plan:
    path = folder / "template.yaml"
    path.write_text(f"Resources:{resources}")
    return read_plan(read_template(path, {}, "us-east-1"))


def test_own_template_is_served() -> None:
    found = read_plan(read_template(ROOT / "template.yaml", {}, "us-east-1"))
    assert {name: function.isolated for name, function in found.functions.items()} == {
        "BridgeFunction": False,
        "counter-isolated": True,
        "counter-standard": False,
        "history": True,
    }
    (service,) = found.services
    assert admitted_callers(service.policies) == "signed only"
    ((group, _),) = service.rules[-1].action.forward
    assert (group.version, group.function.rpartition(":")[2]) == (2, "live")


def test_target_group_without_a_version_gets_v1(tmp_path: Path) -> None:
    ((group, _),) = planned(tmp_path, SERVED).services[0].rules[-1].action.forward
    assert group.version == 1


def test_event_version_can_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(f"Resources:{SERVED}")
    found = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"), event_version=2)
    assert found.services[0].rules[-1].action.forward[0][0].version == 2


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ("  T: {Type: Test, Properties: {X: !ImportValue y}}\n", "Fn::ImportValue is not computed (T.X)"),
        ("  Table: {Type: AWS::SNS::Topic}\n", "AWS::SNS::Topic (Table)"),
        ("  Gone: {Type: T, Condition: Never}\nConditions: {Never: !Equals [a, b]}\n", "its condition is false (Gone)"),
        ("  Role: {Type: AWS::IAM::Role}\n", "AWS::IAM::Role: no right of a function is checked (Role)"),
        ("  G: {Type: AWS::VpcLattice::TargetGroup, Properties: {Type: IP}}\n", "target groups of type IP (G)"),
        (
            "  N: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.13, Handler: a.b, SnapStart: {}}}\n",
            "property SnapStart has no effect (N)",
        ),
    ],
)
def test_part_that_is_not_emulated_is_reported(tmp_path: Path, resources: str, sentence: str) -> None:
    assert sentence in planned(tmp_path, SERVED + resources).left_out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Handler: a.b,", "Handler: a.b, TenancyConfig: PER_TENNANT,", "'PER_TENNANT' is unknown. Fix: write PER"),
        ("Handler: a.b,", "Handler: a.b, TenancyConfig: {TenantIsolationMode: x},", "'x' is unknown. Fix: write PER"),
        ("Handler: a.b,", "Handler: a.b, Timeout: soon,", "Fn.Timeout: 'soon' is not a positive number"),
        ("Type: LAMBDA,", "Type: LAMBDA, Config: {LambdaEventStructureVersion: V3},", "'V3' is unknown. Fix: write V1"),
        ("Targets: [{Id: !GetAtt Fn.Arn}]", "Targets: []", "has a list of exactly one target"),
        ("Targets: [{Id: !GetAtt Fn.Arn}]", "Targets: {Id: x}", "has a list of exactly one target"),
        ("Targets: [{Id: !GetAtt Fn.Arn}]", "Targets: [x]", "target group Group: malformed"),
        ("Weight: 1", "Weight: x", "listener Listener: malformed"),
        ("Weight: 1", "Weight: -1", "Weight -1 is negative"),
        (FORWARD, "{FixedResponse: }", "listener Listener: malformed"),
        (FORWARD, "{FixedResponse: {StatusCode: 1000}}", "1000 is not an HTTP status"),
        ("Handler: a.b,", "Handler: a.b, Timeout: .nan,", "not a positive number"),
        ("Handler: a.b,", "Handler: a.b, MemorySize: .inf,", "not a positive number"),
        ("Handler: a.b,", "Handler: a.b, Environment: x,", "function Fn: malformed"),
    ],
)  # fmt: skip
def test_malformed_part_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SERVED
    with pytest.raises(BadTemplate) as caught:
        planned(tmp_path, SERVED.replace(old, new))
    assert message in str(caught.value)


def test_sentence_names_eight_resources_at_most(tmp_path: Path) -> None:
    """Some templates have hundreds."""
    tables = "".join(f"  T{n}: {{Type: AWS::SNS::Topic}}\n" for n in range(300))
    names = ", ".join(f"T{n}" for n in range(8))
    assert f"AWS::SNS::Topic ({names}, and 292 more)" in planned(tmp_path, SERVED + tables).left_out


def test_assumptions_about_a_template_are_warnings(tmp_path: Path) -> None:
    """They change what the stack does, and the parts that are not emulated only miss."""
    path = tmp_path / "template.yaml"
    rule = "Rules: {R: {Assertions: [{Assert: !Equals [!Ref Name, x], AssertDescription: it is x}]}}"
    path.write_text(f"Parameters: {{Name: {{Type: String}}}}\n{rule}\nResources:\n  Fn: {{Type: T}}{SERVED}")
    assert read_plan(read_template(path, {}, "us-east-1")).warnings == (
        "Fn occurs twice, and the last one is used, as on AWS (line 12 of template.yaml)",
        "a parameter without a value has a stand-in. Fix: --parameter NAME=VALUE gives it one (Name=name)",
        "an assertion of Rules does not hold: it is x (R)",
    )


def test_template_with_only_a_function_is_served(tmp_path: Path) -> None:
    """Its Lambda API is enough."""
    found = planned(
        tmp_path, "\n  Fn: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, Runtime: python3.13}}\n"
    )
    assert (list(found.functions), found.services) == (["Fn"], ())


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            "\n  T: {Type: AWS::SNS::Topic}\n",
            "the template has nothing to serve. Fix: add an AWS::Serverless::Function",
        ),
        (
            "".join(f"\n  F{n}: {{Type: AWS::Lambda::Function, Properties: {{Runtime: x}}}}" for n in range(5)),
            "start with --function F2=URL; and 2 more). Fix: give one of them local code",
        ),
        (
            "\n  F: {Type: AWS::Lambda::Function, Condition: Never}\nConditions: {Never: !Equals [a, b]}\n",
            "nothing to serve: conditions leave out F. Fix: change them with --parameter",
        ),
    ],
)
def test_template_with_nothing_to_serve_is_refused(tmp_path: Path, resources: str, message: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        planned(tmp_path, resources)
    assert message in str(caught.value)


RULES = """
  One:
    Type: AWS::VpcLattice::Rule
    Properties:
      ListenerIdentifier: !Ref Listener
      Priority: 20
      Match: {HttpMatch: {PathMatch: {Match: {Prefix: /b}}}}
      Action: {FixedResponse: {StatusCode: 420}}
  Two:
    Type: AWS::VpcLattice::Rule
    Properties:
      ListenerIdentifier: !GetAtt Listener.Id
      Priority: 10
      Match:
        HttpMatch:
          Method: GET
          PathMatch: {Match: {Prefix: /b}}
          HeaderMatches: [{Name: X-Env, Match: {Exact: test}}]
      Action: {FixedResponse: {StatusCode: 410}}
"""


def test_first_matching_rule_by_priority_decides(tmp_path: Path) -> None:
    (service,) = planned(tmp_path, SERVED + RULES).services
    assert action_for(service.rules, "GET", "/b/c", [("x-env", "TEST")]).status == 410
    assert action_for(service.rules, "POST", "/b/c", [("x-env", "test")]).status == 420
    assert action_for(service.rules, "GET", "/b", []).status == 420
    assert action_for(service.rules, "GET", "/a", []).forward


@pytest.mark.parametrize("reference", ["!Ref {}", "!GetAtt {}.Arn", "!GetAtt {}.Id"])
def test_lattice_resource_is_found_by_arn_and_id(tmp_path: Path, reference: str) -> None:
    """It holds for every property that refers to a resource, as in CloudFormation."""
    rule = """
  Rule:
    Type: AWS::VpcLattice::Rule
    Properties:
      ListenerIdentifier: !Ref Listener
      Priority: 1
      Match: {HttpMatch: {PathMatch: {Match: {Exact: /b}}}}
      Action: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Group, Weight: 1}]}}
"""
    resources = SERVED + rule
    for name in ("Service", "Listener", "Group"):
        resources = resources.replace(f"Identifier: !Ref {name}", f"Identifier: {reference.format(name)}")
    assert resources.count(reference.format("Group")) == 2
    found = planned(tmp_path, resources)
    assert [each.action.forward[0][0].function for each in found.services[0].rules] == [
        "arn:aws:lambda:us-east-1:123456789012:function:Fn"
    ] * 2
    assert [line for line in found.left_out if "forwards" in line] == []


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        ("Name: orders", ("service", "orders")),
        ("Name: orders, CustomDomainName: Orders.Example.Com", ("orders.example.com", "service", "orders")),
        ("AuthType: NONE", ("service",)),
    ],
)
def test_service_has_its_domain_logical_id_and_name(tmp_path: Path, properties: str, names: tuple[str, ...]) -> None:
    assert planned(tmp_path, SERVED.replace("Name: orders", properties)).services[0].names == names


@pytest.mark.parametrize(
    ("match", "path", "expected"),
    [
        (Match(path_how="Exact", path="/a"), "/a", True),
        (Match(path_how="Exact", path="/a"), "/A", True),
        (Match(path_how="Exact", path="/a", path_case_sensitive=True), "/A", False),
        (Match(path_how="Exact", path="/a"), "/a/b", False),
        (Match(path="/a"), "/a/b", True),
        (Match(path="/a"), "/b/a", False),
        (Match(method="GET"), "/", True),
        (Match(method="POST"), "/", False),
        (Match(headers=(HeaderMatch("h", "Contains", "lu"),)), "/", True),
        (Match(headers=(HeaderMatch("h", "Prefix", "BL"),)), "/", True),
        (Match(headers=(HeaderMatch("h", "Prefix", "BL", case_sensitive=True),)), "/", False),
        (Match(headers=(HeaderMatch("absent", "Contains", ""),)), "/", False),
    ],
)
def test_match_works_as_lattice_documents(match: Match, path: str, expected: bool) -> None:
    assert matches(match, "GET", path, [("h", "blue")]) is expected


def test_target_group_is_chosen_by_weight() -> None:
    first, second = TargetGroup("arn:1", "a", 2), TargetGroup("arn:2", "b", 2)
    action = Action(((first, 90), (second, 10)))
    assert choose_target_group(action, lambda total: total * 0.89) is first
    assert choose_target_group(action, lambda total: total * 0.91) is second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[identity]", "not TOML"),
        ("[[identity]]\naccess_key = 'AAAA'\nprincipal = 'x'", "has no secret_key"),
        ("[[identity]]\naccess_key='AAAA'\nsecret_key='s'\nprincipal='x'", '"AAAA": principal "x": the principal is'),
        (2 * f"[[identity]]\naccess_key='AAAA'\nsecret_key='s'\nprincipal='{USER}'\n", "two identities have this"),
        ("[[identity]]\naccess_key='AAAA'\nsecret_key='s'\nprincipal='p'\nrole='r'", "role: unknown key; known keys: "),
    ],
)  # fmt: skip
def test_malformed_identity_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "identities.toml"
    path.write_text(text)
    with pytest.raises(BadIdentities) as caught:
        read_identities(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'secret_key = "a"hunter2=b"',
        "scret_key = hunter2",
        "secret\thunter2",
        '[secret_key = "hunter2"',
        '"secret_key": "hunter2"',
        "secret_key = {a = hunter2}",
        'sec{ret_key = "hunter2',
        f"scret_key: {'hunter2' * 100}",
    ],
)
def test_identities_that_are_not_toml_are_refused_without_a_word_of_a_secret(line: str, tmp_path: Path) -> None:
    """Trap G14: a misspelt key is no sign of a secret."""
    (tmp_path / "identities.toml").write_text(f'[[identity]]\naccess_key = "LOCALBLUE"\n{line}\n')
    with pytest.raises(BadIdentities) as error:
        read_identities(tmp_path / "identities.toml")
    assert "hunter" not in str(error.value)
    assert "identities.toml:3:" in str(error.value)
    assert "not TOML" in str(error.value)


def test_every_fault_of_identities_is_named_with_its_place_and_without_its_secret(tmp_path: Path) -> None:
    """Trap G14."""
    path = tmp_path / "identities.toml"
    path.write_text(
        "[[identity]]\naccess_key = 'A-A'\nsecret_key = 12345\nprincipal = 'batch'\nsesion = 'x'\n"
        f"[[identity]]\naccess_key = 'BBBB'\nsecret_key = ''\nprincipal = '{USER}'\norg = 'x'\n"
        "x509 = { san_uri = 'a;b', sanuri = 1 }\n"
        "[[identities]]\n"
    )
    with pytest.raises(BadIdentities) as caught:
        read_identities(path)
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{path}:").partition(". Fix")[0] for line in lines] == [
        '2:14: identity "A-A": access_key "A-A" is not an access key',
        '3:14: identity "A-A": secret_key: is not a string',
        '4:13: identity "A-A": principal "batch": the principal is not an IAM or STS ARN with a 12-digit account',
        '5:1: identity "A-A": sesion: unknown key; did you mean session?',
        '8:14: identity "BBBB": secret_key is empty',
        '10:7: identity "BBBB": org "x" is not the id of an organisation',
        '11:27: identity "BBBB": x509: sanuri: unknown key; did you mean san_uri?',
        "12:3: identities: unknown key; did you mean identity?",
    ]
