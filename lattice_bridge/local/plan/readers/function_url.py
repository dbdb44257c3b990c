"""Reads the function URLs of a resolved template."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.local.plan.function_url import BOTH, AuthType, FunctionUrl, Grant
from lattice_bridge.local.plan.model import LeftOut
from lattice_bridge.local.plan.readers.http_api import read_cors


def read_function_urls(template: Template, left_out: LeftOut) -> Iterator[FunctionUrl]:
    """Reads the function URLs, in the order of the template.

    Args:
        template: resolved; SAM is translated.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    isolated = {
        one.arn
        for one in template.of_type("AWS::Lambda::Function", "AWS::Serverless::Function")
        if one.properties.get("TenancyConfig") is not None
    }
    for resource in template.of_type("AWS::Lambda::Url"):
        with malformed(f"function URL {resource.id}"):
            found = _function_url(resource, template)
        if resource.properties.get("InvokeMode") == "RESPONSE_STREAM":
            left_out.add("InvokeMode RESPONSE_STREAM: the response is buffered", resource.id)
        if without_qualifier(found.function) in isolated:
            left_out.add("Lambda offers no function URL for a function with tenant isolation", resource.id)
        if found.auth_type == "AWS_IAM":
            left_out.add("callers' own IAM policies, which have to allow lambda:InvokeFunctionUrl", resource.id)
        yield found


def _function_url(resource: Resource, template: Template) -> FunctionUrl:
    properties = resource.properties
    auth_type = properties.get("AuthType")
    if auth_type not in ("AWS_IAM", "NONE"):
        raise BadTemplate(f"{resource.id}.AuthType: {auth_type!r} is unknown. Fix: write AWS_IAM or NONE")
    domain = urlsplit(resource.attributes["FunctionUrl"]).netloc
    identifier = domain.partition(".")[0]
    qualifier = str(properties.get("Qualifier") or "")
    function = _arn(str(properties["TargetFunctionArn"]), template)
    function = f"{function}:{qualifier}" if qualifier and without_qualifier(function) == function else function
    cors = properties.get("Cors")
    return FunctionUrl(
        id=identifier,
        name=resource.id,
        names=tuple(dict.fromkeys(name.lower() for name in (resource.id, identifier, domain))),
        domain=domain,
        account=template.account,
        function=function,
        auth_type=auth_type,
        grants=tuple(_grants(function, auth_type, template)),
        cors=None if cors is None else read_cors(cors),
    )


def _grants(function: str, auth_type: AuthType, template: Template) -> Iterator[Grant]:
    """The permissions of a function, or of its alias, that apply to its URL."""
    for resource in template.of_type("AWS::Lambda::Permission"):
        properties = resource.properties
        action = str(properties.get("Action", ""))
        actions = frozenset(BOTH if action in ("lambda:*", "lambda:InvokeFunction*", "*") else [action])
        if _arn(str(properties.get("FunctionName", "")), template) != function or not actions & set(BOTH):
            continue
        wanted = properties.get("FunctionUrlAuthType")
        if wanted not in (None, auth_type) or any(key in properties for key in ("SourceArn", "SourceAccount")):
            continue  # a request through a URL has no source
        organisation = properties.get("PrincipalOrgID")
        yield Grant(resource.id, actions, str(properties.get("Principal", "")), organisation and str(organisation))


def _arn(function: str, template: Template) -> str:
    """The ARN of a function that a property names, or a partial ARN, or a name with or without a qualifier."""
    if function.startswith("arn:"):
        return function
    name, colon, qualifier = function.rpartition("function:")[2].partition(":")
    for resource in template.of_type("AWS::Lambda::Function", "AWS::Serverless::Function"):
        if name in (resource.ref, resource.id):
            return f"{resource.arn}{colon}{qualifier}"
    return function


def without_qualifier(arn: str) -> str:
    """A function's ARN without its qualifier."""
    return ":".join(arn.split(":")[:7])
