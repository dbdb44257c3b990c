"""`check --template` for APIs: the map as an authorizer, APIs before the bridge, and APIs before isolated functions.

Traps D8, F2, F4, F5 and F8, cases of each in tests/templates.
"""

from __future__ import annotations

import tomllib
from textwrap import indent
from typing import Any, Final

import pytest

from lattice_bridge import authorize
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.deployment.checks import authorizers
from lattice_bridge.deployment.checks.needs import needs_of
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.checks.stack import AUTHORIZER_HANDLER, TemplateFinding
from lattice_bridge.formats import authorizer as form
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "tests" / "templates"
CASES: Final[list[tuple[str, dict[str, Any]]]] = [
    (base, case)
    for base in ("apis", "fronts")
    for case in tomllib.loads((FOLDER / f"{base}_cases.toml").read_text(encoding="utf-8"))["case"]
]


def edited(name: str, edits: list[list[str]], add: str = "") -> str:
    """A file of the folder with texts replaced, and resources added at its end."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text + indent(add, "  ")


def found_in(base: str, case: dict[str, Any]) -> list[TemplateFinding]:
    document = parse_document(edited(f"{base}.toml", case.get("map", [])))
    text = edited(f"{base}.yaml", case.get("edits", []), case.get("add", ""))
    known = read_options(document.tables, [])
    return template_findings(FOLDER / f"{base}.yaml", known, {}, "us-east-1", text=text, needs=needs_of(document))


@pytest.mark.parametrize(("base", "case"), CASES, ids=lambda one: one["name"] if isinstance(one, dict) else one)
def test_template_has_exactly_these_findings(base: str, case: dict[str, Any]) -> None:
    """Trap F2: no source of a tenant id is overlooked: stage variables, mapping templates, parts that are in S3."""
    findings = found_in(base, case)
    assert sorted([one.level, one.subject, one.actual] for one in findings) == sorted(case["found"])
    for one in findings:
        assert one.text == f"{one.subject}: {one.actual}. {one.expected}. Fix: {one.fix}."


def test_fix_for_the_cache_names_the_identity_source() -> None:
    sources = "IdentitySource: method.request.header.Authorization"
    edits = [["AuthorizerResultTtlInSeconds: 0", f"AuthorizerResultTtlInSeconds: 60\n      {sources}"]]
    (finding,) = found_in("apis", {"edits": edits})
    assert finding.fix == (
        "write AuthorizerResultTtlInSeconds: 0 (with SAM's Auth: ReauthorizeEvery: 0), "
        "or add method.request.header.x-tenant-id to IdentitySource"
    )


CACHED: Final = [
    [
        "AuthorizerResultTtlInSeconds: 0",
        "AuthorizerResultTtlInSeconds: 60\n"
        "      IdentitySource: method.request.header.Authorization, method.request.header.X-Tenant-Id",
    ]
]


def cached(edits: list[list[str]], rule: str) -> list[TemplateFinding]:
    """The findings for an authorizer whose cache has every header, with one more rule."""
    more = ["[[rule]]", f'[[rule]]\nid = "more"\n{rule}\n[[rule]]']
    return found_in("apis", {"edits": [*CACHED, *edits], "map": [more]})


@pytest.mark.parametrize("outcome", ["deny = true", 'tenant = "blue"\nclient_cert_issued_by = "us"'])
def test_certificate_of_a_client_allows_no_cache(outcome: str) -> None:
    """Trap D8: the certificate is no identity source here, so a cached answer would be used for another one."""
    edits = [["{Name: orders}", "{Name: orders, DisableExecuteApiEndpoint: true}"]]
    (finding,) = cached(edits, f'client_cert = "CN=blue"\n{outcome}')
    assert (finding.level, finding.subject) == ("error", "Authorizer")
    assert finding.actual.endswith("caches answers for 60 s, without the client's certificate")


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ("Name: orders", True),
        ("Name: orders, DisableExecuteApiEndpoint: false", True),
        ("Name: orders, DisableExecuteApiEndpoint: true", False),
        ("Body: {x-amazon-apigateway-endpoint-configuration: {disableExecuteApiEndpoint: true}}", False),
        ("EndpointConfiguration: {Types: [PRIVATE]}", False),
    ],
)
def test_endpoint_without_mutual_tls_is_a_warning_if_rules_read_certificates(properties: str, *, found: bool) -> None:
    """Trap D5: a client leaves its certificate out there, so that no rule denies it, and a token alone decides."""
    more = ["[[rule]]", '[[rule]]\nid = "lost"\nclient_cert = "CN=blue"\ndeny = true\n[[rule]]']
    findings = found_in("apis", {"edits": [["{Name: orders}", f"{{{properties}}}"]], "map": [more]})
    expected = [("warning", "Api", "clients can use its default endpoint, and rules read their certificates (lost)")]
    assert [(one.level, one.subject, one.actual) for one in findings] == (expected if found else [])


def test_default_endpoint_of_an_api_before_the_bridge_is_found_too() -> None:
    """Trap D5."""
    rule = 'client_cert = "CN=blue"\ntenant = "blue"\nclient_cert_issued_by = "us"'
    findings = found_in("fronts", {"map": [["[[rule]]", f'[[rule]]\nid = "device"\n{rule}\n[[rule]]']]})
    assert "clients can use its default endpoint, and rules read their certificates (device)" in [
        one.actual for one in findings
    ]


def test_cached_refusal_of_an_anonymous_client_is_a_warning() -> None:
    """Trap D8: without a token among the identity sources' values, one client's refusal is that of all."""
    (finding,) = cached([], 'anyone = true\ntenant = "blue"\naccept_risk = "a test"')
    assert (finding.level, finding.subject) == ("warning", "Authorizer")
    assert finding.actual.endswith("caches answers for 60 s, and a rule has anyone")


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        ("EndpointConfiguration: {Types: [PRIVATE]}", True),
        ("Parameters: {endpointConfigurationTypes: PRIVATE}", True),
        ("EndpointConfiguration: !ImportValue endpoint", True),
        ("EndpointConfiguration: {Types: [REGIONAL]}", False),
    ],
)
@pytest.mark.parametrize("outcome", ["deny = true", 'tenant = "blue"\naccept_risk = "a test"'])
def test_vpc_of_a_private_api_allows_no_cache(endpoint: str, outcome: str, *, found: bool) -> None:
    """Trap D8: the VPC is no identity source, so an answer for one VPC would be used for another."""
    edits = [["{Name: orders}", f"{{Name: orders, {endpoint}}}"]]
    findings = cached(edits, f'vpc = "vpc-0a1b2c3d4e5f60718"\n{outcome}')
    expected = ["the authorizer Authorizer caches answers for 60 s, without the VPC of the request"]
    assert [one.actual for one in findings if one.level == "error"] == (expected if found else [])


@pytest.mark.parametrize("source", ["domainName", "domainPrefix", "path", "identity.userAgent", "identity.sourceIp"])
def test_context_that_a_client_writes_is_no_tenant(source: str) -> None:
    """Trap F2: with a wildcard domain, a client chooses the host name and so the tenant."""
    (finding,) = found_in("apis", {"edits": [["context.authorizer.tenantId", f"context.{source}"]]})
    assert finding.actual == f"a REST API (Method) sends context.{source} as the tenant"
    assert (finding.level, finding.expected[:40]) == ("error", "Every client names its own tenant: it re")


SAM: Final = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Guard:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.authorizer.handler, Runtime: python3.13, CodeUri: .}
  Rest:
    Type: AWS::Serverless::Api
    Properties:
      StageName: prod
      Auth:
        DefaultAuthorizer: map
        Authorizers:
          map:
            FunctionArn: !GetAtt Guard.Arn
            FunctionPayloadType: KIND
            Identity: {HEADERS, ReauthorizeEvery: 300}
  Web:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: map
        Authorizers:
          map:
            FunctionArn: !GetAtt Guard.Arn
            EnableFunctionDefaultPermissions: true
            AuthorizerPayloadFormatVersion: "2.0"
            Identity: {Headers: [Authorization], ReauthorizeEvery: 300}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: python3.13
      CodeUri: .
      Events:
        Rest: {Type: Api, Properties: {RestApiId: !Ref Rest, Path: /, Method: GET}}
        Web: {Type: HttpApi, Properties: {ApiId: !Ref Web, Path: /, Method: GET}}
"""


@pytest.mark.parametrize(
    ("kind", "headers", "found"),
    [
        ("REQUEST", "Headers: [Authorization]", "caches answers for 300 s, and its identity sources lack the header"),
        ("REQUEST", "Headers: [Authorization, X-Tenant-Id]", None),
        ("TOKEN", "Header: Authorization", "is of type TOKEN"),
    ],
)
def test_authorizers_of_sam_are_read(kind: str, headers: str, found: str | None) -> None:
    document = parse_document(edited("apis.toml", []))
    options, needs = read_options(document.tables, []), needs_of(document)
    text = SAM.replace("KIND", kind).replace("HEADERS", headers)
    findings = template_findings(FOLDER / "sam.yaml", options, {}, "us-east-1", text=text, needs=needs)
    by_resource = {one.subject: one.actual for one in findings if one.level == "error"}
    assert by_resource.keys() == {"Web", *(["Rest"] if found else [])}, [one.text for one in findings]
    assert "lack the header x-tenant-id" in by_resource["Web"]
    assert found is None or found in by_resource["Rest"]


def test_names_are_those_of_the_authorizer() -> None:
    assert authorizers.SIMPLE_VARIABLE == authorize.SIMPLE_VARIABLE
    assert authorizers.TENANT == form.TENANT
    assert AUTHORIZER_HANDLER == "lattice_bridge.authorizer.handler"
