"""`lattice-bridge schema`: bridge.toml for editors, which then complete its keys and mark what is wrong."""

from __future__ import annotations

from typing import Any, Final

import click
from pydantic import Field

from lattice_bridge.cli import show
from lattice_bridge.config.tables.issuer import IssuerTable
from lattice_bridge.config.tables.map import HeaderTable, RegistryTable, TenantTable
from lattice_bridge.config.tables.options import BackendTable, FollowTable, LatticeTable, ReplyTable, TopTable
from lattice_bridge.config.tables.rule import ANCHORS, OUTCOMES, RuleTable
from lattice_bridge.config.tables.test import TestTable


class File(TopTable):
    """bridge.toml"""

    backend: list[BackendTable] = Field(default_factory=list)
    header: HeaderTable = HeaderTable()
    jwt: dict[str, IssuerTable] = Field(default_factory=dict)
    lattice: LatticeTable = LatticeTable()
    map: FollowTable = FollowTable()
    registry: RegistryTable | None = None
    reply: ReplyTable = ReplyTable()
    rule: list[RuleTable] = Field(default_factory=list)
    tenants: dict[str, TenantTable] = Field(default_factory=dict)
    test: list[TestTable] = Field(default_factory=list)


SAYS: Final[dict[str, dict[str, str]]] = {
    "File": {
        "backend": "The functions behind the bridge. The longest path prefix wins.",
        "invoker": "How functions are invoked: by signed requests of the bridge's own, or through boto3.",
        "header": "The header that chooses among the tenants that a caller's rule allows.",
        "jwt": "Token issuers, by the names that rules call them.",
        "lattice": "Which events are taken, and how replies are written.",
        "map": "How this configuration is kept up with.",
        "reply": "What of a backend's reply does not reach the caller.",
        "registry": "The tenants, in a table of DynamoDB. Instead of [tenants].",
        "rule": "Who may run as which tenant. Order means nothing; the most specific anchor owns a request.",
        "tenants": "The tenants, by id. A closed set: what is not here does not exist.",
        "test": "What the rules are meant to do; run by `lattice-bridge check`.",
    },
    "BackendTable": {
        "path": "Whole segments at the beginning of a request's path, as in /orders.",
        "function": "A Lambda function's name or ARN, with an optional :qualifier.",
        "isolated": "Whether the function has tenant isolation. If not, it is invoked without a tenant id.",
        "payload": "The format of the event that the function receives; see docs/backends.md.",
        "invocation": "sync waits for the answer; async answers 202 at once.",
        "timeout": "Seconds, and never later than the bridge's own deadline.",
        "keep_headers": "Credentials that the function is to see all the same.",
    },
    "FollowTable": {"refresh": "Seconds between two looks for another version."},
    "HeaderTable": {"name": "Lower-case letters, digits and -."},
    "IssuerTable": {
        "issuer": "What iss says, character for character.",
        "audience": "One of these has to be in aud.",
        "algorithms": "Asymmetric ones. The token's own word is not asked.",
        "jwks_url": "Where the issuer's keys are; https.",
        "jwks_file": "The issuer's keys, in a file beside this one.",
        "header": "The header with the token.",
        "profile": "What is particular to the issuer's tokens.",
    },
    "LatticeTable": {
        "services": "ARNs of the Lattice services events may come from. V1 events do not say, and are then refused.",
        "set_cookie": "Where a reply carries cookies.",
        "scheme": "What clients speak with the service, for backends that are told in another format than Lattice's.",
    },
    "RegistryTable": {
        "dynamodb_table": 'Its name or ARN. Its key is `tenant`; `status` has to be "active".',
        "ttl": "Seconds after which a tenant is looked up again.",
        "max_stale": "Seconds for which the last answer serves while nobody answers.",
    },
    "ReplyTable": {"drop_headers": "Names of headers, as in set-cookie and strict-transport-security."},
    "RuleTable": {
        "id": "Its name in logs and explanations.",
        "role": "Sessions of this role, written as IAM writes it; * at the end, after one of - _ . @ = + ,",
        "session": "That session of the role.",
        "user": "This IAM user.",
        "sso": "The role that IAM Identity Center makes of a permission set.",
        "account": "Every role and user of the account: twelve digits, in quotes.",
        "root": "The root user of an account.",
        "federated_user": "This federated user.",
        "jwt": "Whoever has a token of this issuer; beside another anchor, a condition.",
        "anyone": "Callers that nobody authenticated.",
        "vpc": "Condition: the VPC that the caller came from. Alone, an anchor.",
        "org": "Condition: the caller's organisation.",
        "service": "Condition: the Lattice service.",
        "network": "Condition: the Lattice service network.",
        "tenant": "The tenant.",
        "tenants": 'The header chooses one of these; "*" is every registered one.',
        "tenant_from": "The tenant's name stands in something that the caller carries.",
        "template": "Where in it, as in t-{tenant}.",
        "claim": "The path to a claim, one element a level.",
        "claim_is_list": "The claim is a list; the header chooses among what it holds.",
        "deny": "These callers are refused, whatever other rules say.",
        "accept_risk": "Why it is right that nobody is authenticated here.",
        "session_set_by": "Who chooses the session's name, if not the caller.",
        "x509_set_by": "Why the role can only be assumed through IAM Roles Anywhere.",
        "claim_is_admin_set": "Why users cannot change the claim.",
    },
    "SsoTable": {"account": "Twelve digits, in quotes.", "permission_set": "Its name, as in Support."},
    "TenantTable": {"status": "A suspended tenant is registered, and refused."},
    "TestTable": {
        "expect": "A tenant, `refused`, or `refused: REASON`.",
        "principal": "The ARN that Lattice authenticated.",
        "session": "Its session's name, if the ARN does not say.",
        "header": "The tenant header's value.",
        "vpc": "The source VPC's ARN.",
        "org": "The caller's organisation.",
        "service": "The Lattice service's ARN.",
        "network": "The service network's ARN.",
        "x509_san_uri": "The URI in the certificate.",
        "claims": "What a token says, by its issuer's name; it counts as verified.",
    },
}
"""Table → key → one sentence, for whoever hovers over it."""


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    found = File.model_json_schema()
    tables = {"File": found, **found["$defs"]}
    for name, table in tables.items():
        for key, said in SAYS[name].items():
            table["properties"][key]["description"] = said
    rule = found["$defs"]["RuleTable"]
    rule["oneOf"] = [{"required": [outcome]} for outcome in OUTCOMES]
    rule["anyOf"] = [{"required": [anchor]} for anchor in (*ANCHORS, "jwt", "vpc")]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lattice-bridge: bridge.toml",
        **_without_titles(found),
    }


def _without_titles(node: Any) -> Any:
    """Pydantic's titles are the names again."""
    if isinstance(node, dict):
        return {key: _without_titles(value) for key, value in node.items() if not _is_title(key, value)}
    return [_without_titles(item) for item in node] if isinstance(node, list) else node


def _is_title(key: str, value: Any) -> bool:
    return key == "title" and isinstance(value, str)


@click.command(name="schema", short_help="Print the JSON Schema of bridge.toml.")
def schema_command() -> None:
    """Print the JSON Schema of bridge.toml, for editors: see docs/tenants.md."""
    show.say_json(schema())
