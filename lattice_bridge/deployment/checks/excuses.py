"""Permissions on isolated functions that are no mistakes of their own.

Rule: whom such a permission lets in is known to be in the template: a REST API that sends the tenant, or a URL, which
is told itself.
"""

from __future__ import annotations

from lattice_bridge.deployment.checks.invokers import sends_tenant
from lattice_bridge.deployment.checks.names import refers_to
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text, marker


def is_excused(permission: Resource, function: Resource, template: Template) -> bool:
    """Whether a permission needs no finding beside those of what it lets in."""
    if permission.properties.get("Principal") == "apigateway.amazonaws.com":
        return _is_for_sending_api(permission, function, template)
    return _is_for_url(permission) and any(
        refers_to(one.properties.get("TargetFunctionArn"), function) for one in template.of_type("AWS::Lambda::Url")
    )


def _is_for_url(permission: Resource) -> bool:
    said = permission.properties
    via = as_text(said.get("InvokedViaFunctionUrl")).lower() == "true"
    return via or ("FunctionUrlAuthType" in said and str(said.get("Action")).lower() == "lambda:invokefunctionurl")


def _is_for_sending_api(permission: Resource, function: Resource, template: Template) -> bool:
    """Its source is one API, and what of that invokes the function sends the tenant."""
    fields = str(permission.properties.get("SourceArn")).split(":", 5)
    api = fields[5].partition("/")[0] if len(fields) == 6 and fields[2] == "execute-api" else ""
    if not api or "*" in api or "?" in api:
        return False
    parts = [one for one in template.of_type("AWS::ApiGateway::Method") if one.properties.get("RestApiId") == api]
    parts += [one for one in template.of_type("AWS::ApiGateway::RestApi") if api in (one.id, marker(one.id))]
    return any(sends_tenant(one, function) for one in parts)
