"""Application Load Balancers of a template: what is read, what is named, and which rule a request matches."""

from __future__ import annotations

from functools import partial
from operator import mul
from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.load_balancer import (
    Condition,
    Facts,
    Fixed,
    Forward,
    LambdaTargets,
    Listener,
    LoadBalancer,
    NotServed,
    Redirect,
    Rule,
    choose,
    holds,
)
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.readers.template import read_plan

BALANCER = """
  Balancer: {Type: "AWS::ElasticLoadBalancingV2::LoadBalancer", Properties: {Name: Shop}}
  Fn: {Type: "AWS::Serverless::Function", Properties: {FunctionName: orders, Handler: a.b, Runtime: python3.13}}
  Group:
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    Properties: {TargetType: lambda, Targets: [{Id: !GetAtt Fn.Arn}]}
  Listener:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties:
      LoadBalancerArn: !Ref Balancer
      Port: 443
      Protocol: HTTPS
      DefaultActions: [{Type: forward, TargetGroupArn: !Ref Group}]
"""
RULE = """
  Rule:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties:
      ListenerArn: !Ref Listener
      Priority: 7
      Conditions: [CONDITION]
      Actions: [ACTION]
"""
PATH = "{Field: path-pattern, Values: [/orders/*]}"
FIXED = "{Type: fixed-response, FixedResponseConfig: {StatusCode: '404'}}"
FACTS = Facts("GET", "/a", (), (), "shop.example.com", "127.0.0.1")


def planned(folder: Path, resources: str) -> Plan:
    path = folder / "template.yaml"
    path.write_text(f"Resources:{resources}")
    return read_plan(read_template(path, {}, "us-east-1"))


def test_target_group_can_have_the_arn_of_its_deployed_twin(tmp_path: Path) -> None:
    """So `[alb] target_groups` of a bridge.toml works unchanged: the ARN ends with a hash that AWS chooses."""
    arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/bridge/0123456789abcdef"
    (tmp_path / "template.yaml").write_text(f"Resources:{BALANCER}")
    resolved = read_template(tmp_path / "template.yaml", {}, "us-east-1", ids={"Group": arn})
    (found,) = read_plan(resolved).load_balancers
    forward = found.listeners[0].rules[-1].action
    assert isinstance(forward, Forward)
    assert [group.arn for group, _ in forward.groups] == [arn]


def balancer(folder: Path, *, condition: str = PATH, action: str = FIXED) -> LoadBalancer:
    (found,) = planned(folder, BALANCER + RULE.replace("CONDITION", condition).replace("ACTION", action)).load_balancers
    return found


def first_rule(folder: Path, **parts: str) -> Rule:
    return balancer(folder, **parts).listeners[0].rules[0]


def test_balancer_is_a_way_in_with_its_names(tmp_path: Path) -> None:
    plan = planned(tmp_path, BALANCER)
    (way,) = plan.ways_in
    assert (way.kind, way.name, way.names[0]) == ("ALB", "Shop", "balancer")
    assert way.names[1].endswith(".us-east-1.elb.amazonaws.com")
    (route,) = way.routes
    assert (route.requests, route.event, route.order) == (":443 any", "ALB", "")
    assert route.functions[0].endswith(":function:orders")
    assert not any("ElasticLoadBalancing" in line for line in plan.left_out)


def test_host_of_a_rule_is_a_name_of_the_balancer(tmp_path: Path) -> None:
    """Otherwise the front would not admit the requests that the rule is for."""
    names = balancer(tmp_path, condition="{Field: host-header, Values: [Api.Example.com, '*.example.com']}").names
    assert "api.example.com" in names
    assert not any("*" in name for name in names)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{Field: path-pattern, Values: [/a, /b]}", Condition("path-pattern", ("/a", "/b"))),
        ("{Field: path-pattern, PathPatternConfig: {Values: [/a]}}", Condition("path-pattern", ("/a",))),
        ("{HostHeaderConfig: {Values: [a.b]}}", Condition("host-header", ("a.b",))),
        (
            "{Field: http-header, HttpHeaderConfig: {HttpHeaderName: X-Kind, Values: [a]}}",
            Condition("http-header", ("a",), "x-kind"),
        ),
        (
            "{Field: query-string, QueryStringConfig: {Values: [{Key: v, Value: '1'}, {Value: '2'}]}}",
            Condition("query-string", ("1", "2"), keys=("v", None)),
        ),
        ("{Field: source-ip, SourceIpConfig: {Values: [127.0.0.0/8]}}", Condition("source-ip", ("127.0.0.0/8",))),
    ],
    ids=lambda value: str(value)[:40],
)
def test_condition_is_read_in_every_form(tmp_path: Path, written: str, expected: Condition) -> None:
    rule = first_rule(tmp_path, condition=written)
    assert (rule.priority, rule.conditions) == (7, (expected,))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (FIXED, Fixed(404)),
        (
            "{Type: redirect, RedirectConfig: {Port: '443', Protocol: HTTPS, StatusCode: HTTP_301}}",
            Redirect(301, "HTTPS", port="443"),
        ),
        ("{Type: forward, ForwardConfig: {TargetGroups: [{TargetGroupArn: !Ref Group, Weight: 0}]}}", 0),
    ],
    ids=["fixed", "redirect", "forward"],
)
def test_action_is_read(tmp_path: Path, written: str, expected: object) -> None:
    action = first_rule(tmp_path, action=written).action
    assert (action.groups[0][1] if isinstance(action, Forward) else action) == expected


@pytest.mark.parametrize("kind", ["authenticate-cognito", "authenticate-oidc", "jwt-validation"])
def test_action_that_authenticates_is_not_skipped(tmp_path: Path, kind: str) -> None:
    """Trap A1: the requests of such a rule must not reach a function unauthenticated."""
    action = f"{{Type: {kind}, Order: 1}}, {{Type: forward, Order: 2, TargetGroupArn: !Ref Group}}"
    rule = RULE.replace("CONDITION", PATH).replace("ACTION", action)
    plan = planned(tmp_path, BALANCER + rule)
    assert plan.load_balancers[0].listeners[0].rules[0].action == NotServed(kind)
    assert f"the action {kind} is not served: its requests get 501 (Rule)" in plan.left_out


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        (BALANCER.replace("TargetType: lambda", "TargetType: ip"), "target groups of type ip: their requests get 503"),
        (BALANCER.replace("[{Id: !GetAtt Fn.Arn}]", "[]"), "a target group without a target: its requests get 503"),
        (BALANCER.replace("lambda,", "lambda, HealthCheckEnabled: true,"), "health checks of target groups are not"),
        (BALANCER.replace("Name: Shop", "Type: network"), "load balancers of type network"),
        (BALANCER.replace("!Ref Balancer", "other"), "load balancers without a listener"),
        (BALANCER.replace("!Ref Group", "arn:other"), "forwards to arn:other, which is not served: 503"),
        (
            BALANCER.replace("Name: Shop", "LoadBalancerAttributes: [{Key: routing.http2.enabled, Value: 'true'}]"),
            "the load balancer's attribute routing.http2.enabled has no effect",
        ),
        (
            BALANCER + RULE.replace("CONDITION", "{Field: path-pattern, RegexValues: [a+]}").replace("ACTION", FIXED),
            "a condition with RegexValues is not evaluated: its rule matches no request",
        ),
        (
            BALANCER + RULE.replace("CONDITION", PATH).replace("ACTION]", FIXED + "]\n      Transforms: [{Type: x}]"),
            "Transforms of a rule: the host and the path stay as sent",
        ),
    ],
    ids=lambda value: value[:50] if value[0] != "\n" else "",
)
def test_part_that_is_not_served_is_named(tmp_path: Path, resources: str, sentence: str) -> None:
    assert any(sentence in line for line in planned(tmp_path, resources).left_out)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"condition": "{Field: cookie, Values: [a]}"}, "Field 'cookie' is unknown. Fix: write one of path-pattern"),
        ({"condition": "{Field: path-pattern}"}, "path-pattern has no Values. Fix: write a list"),
        ({"condition": "{Field: source-ip, SourceIpConfig: {Values: [here]}}"}, "'here' is not a CIDR block. Fix: "),
        ({"condition": ""}, "Conditions: there are none"),
        ({"action": "{Type: drop}"}, "the action's Type 'drop' is unknown. Fix: write one of forward"),
        ({"action": "{Type: redirect, RedirectConfig: {StatusCode: HTTP_307}}"}, "Fix: write HTTP_301 or HTTP_302"),
        ({"action": "{Type: fixed-response, FixedResponseConfig: {StatusCode: '99'}}"}, "Fix: write 200 to 599"),
        ({"action": "{Type: forward}"}, "rule Rule"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_malformed_rule_is_refused(tmp_path: Path, parts: dict[str, str], message: str) -> None:
    with pytest.raises(BadTemplate) as refused:
        balancer(tmp_path, **parts)
    assert message in str(refused.value)


def test_multi_value_headers_are_an_attribute_of_the_target_group(tmp_path: Path) -> None:
    attribute = "lambda, TargetGroupAttributes: [{Key: lambda.multi_value_headers.enabled, Value: true}],"
    (found,) = planned(tmp_path, BALANCER.replace("lambda,", attribute)).load_balancers
    action = found.listeners[0].rules[0].action
    assert isinstance(action, Forward)
    assert action.groups[0][0].multi_value is True
    assert found.routes[0].event == "ALB, multi-value"


def test_idle_timeout_is_an_attribute_of_the_balancer(tmp_path: Path) -> None:
    attribute = "LoadBalancerAttributes: [{Key: idle_timeout.timeout_seconds, Value: '5'}]"
    assert planned(tmp_path, BALANCER.replace("Name: Shop", attribute)).load_balancers[0].idle_seconds == 5


# ---- the rule of a request ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "facts", "expected"),
    [
        (Condition("path-pattern", ("/img/*",)), {"path": "/img/a/b.png"}, True),
        (Condition("path-pattern", ("/img/*",)), {"path": "/img"}, False),
        (Condition("path-pattern", ("/img/?",)), {"path": "/img/ab"}, False),
        (Condition("path-pattern", ("/Img",)), {"path": "/img"}, False),
        (Condition("path-pattern", ("/a[b]",)), {"path": "/a[b]"}, True),
        (Condition("path-pattern", ("/a[b]",)), {"path": "/ab"}, False),
        (Condition("path-pattern", ("/a",)), {"path": "/a\n"}, False),
        (Condition("path-pattern", (r"/a\*",)), {"path": "/a*"}, True),
        (Condition("path-pattern", (r"/a\*",)), {"path": "/ab"}, False),
        (Condition("host-header", ("*.Example.com",)), {"host": "shop.example.com"}, True),
        (Condition("host-header", ("*.example.com",)), {"host": "example.com"}, False),
        (Condition("http-header", ("*chrome*",), "user-agent"), {"headers": [("user-agent", "A Chrome 1")]}, True),
        (Condition("http-header", ("a",), "x"), {"headers": [("x", "b"), ("x", "a")]}, True),
        (Condition("http-header", ("a",), "x"), {"headers": [("x", "b,a")]}, False),
        (Condition("http-request-method", ("GET", "HEAD")), {}, True),
        (Condition("http-request-method", ("get",)), {}, False),
        (Condition("query-string", ("V1",), keys=("version",)), {"query": [("Version", "v1")]}, True),
        (Condition("query-string", ("v1",), keys=("version",)), {"query": [("other", "v1")]}, False),
        (Condition("query-string", ("*x*",), keys=(None,)), {"query": [("a", "b"), ("c", "axb")]}, True),
        (Condition("source-ip", ("10.0.0.0/8", "127.0.0.1/32")), {}, True),
        (Condition("source-ip", ("2001:db8::/32",)), {}, False),
        (Condition(None), {}, False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_condition_holds_as_the_user_guide_says(condition: Condition, facts: dict[str, object], expected: bool) -> None:
    given = {name: getattr(FACTS, name) for name in FACTS.__slots__}
    assert holds(condition, Facts(**{**given, **facts})) is expected


def test_long_path_and_many_wildcards_are_matched_in_time() -> None:
    """Trap G15: one request must not stop the front."""
    condition = Condition("path-pattern", ("/*a*a*a*a*b",))
    assert holds(condition, Facts("GET", "/" + "a" * 200_000, (), (), "", "127.0.0.1")) is False


def test_listener_is_chosen_by_port_and_else_the_one_that_forwards() -> None:
    redirects = Listener(80, "HTTP", (Rule(1, (), Redirect(301)),))
    forwards = Listener(443, "HTTPS", (Rule(1, (), Forward(((LambdaTargets("arn"), 1),))),))
    found = LoadBalancer("shop", ("shop",), (redirects, forwards))
    assert [found.listener_for(port) for port in (80, 443, 8080, None)] == [redirects, forwards, forwards, forwards]


def test_target_group_is_chosen_by_weight() -> None:
    one, two, none = LambdaTargets("1"), LambdaTargets("2"), LambdaTargets("0")
    groups = ((none, 0), (one, 1), (two, 3))
    for part, expected in ((0, one), (0.25, one), (0.3, two), (1, two)):
        assert choose(groups, partial(mul, part)) is expected
    assert choose(((none, 0),)) is None
