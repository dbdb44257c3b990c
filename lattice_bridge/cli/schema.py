"""`lattice-bridge schema`: the JSON Schema of bridge.toml, with which editors complete keys and mark faults."""

from __future__ import annotations

from typing import Any, Final

import click
from pydantic import Field

from lattice_bridge.cli import show
from lattice_bridge.config.tables.event_source import EventSourceTable
from lattice_bridge.config.tables.jwt import JwtTable
from lattice_bridge.config.tables.map import HeaderTable, RegistryTable, TenantTable, TestTable
from lattice_bridge.config.tables.options import (
    AlbTable,
    ApiGatewayTable,
    BackendTable,
    FunctionUrlTable,
    LatticeTable,
    LogTable,
    MapTable,
    ReplyTable,
    TopTable,
)
from lattice_bridge.config.tables.outcome import OUTCOMES
from lattice_bridge.config.tables.rule import WRITTEN_ANCHORS
from lattice_bridge.config.tables.rule_table import RuleTable


class File(TopTable):
    """bridge.toml"""

    alb: AlbTable | None = Field(
        default=None, description="The load balancers whose events are accepted, beside Lattice's."
    )
    apigateway: ApiGatewayTable | None = Field(
        default=None, description="The REST and HTTP APIs whose events are accepted, beside Lattice's."
    )
    backend: list[BackendTable] = Field(
        default_factory=list, description="The functions behind the bridge. The longest path prefix wins."
    )
    event_source: list[EventSourceTable] = Field(
        default_factory=list, description="The queues whose messages the bridge routes to functions."
    )
    function_url: FunctionUrlTable | None = Field(
        default=None, description="Whether events of the bridge's own function URL are accepted."
    )
    header: HeaderTable = Field(
        default=HeaderTable(), description="The header that chooses one of the tenants that a caller's rule allows."
    )
    jwt: dict[str, JwtTable] = Field(default_factory=dict, description="Token issuers, by the names that rules use.")
    lattice: LatticeTable = Field(
        default=LatticeTable(), description="The events that are accepted, and the form of replies."
    )
    log: LogTable = Field(default=LogTable(), description="What log lines contain.")
    map: MapTable = Field(default=MapTable(), description="How the bridge follows changes of this configuration.")
    registry: RegistryTable | None = Field(
        default=None, description="The tenants, in a table of DynamoDB. Instead of [tenants]."
    )
    reply: ReplyTable = Field(default=ReplyTable(), description="What the bridge removes from a backend's reply.")
    rule: list[RuleTable] = Field(
        default_factory=list,
        description="The tenants that callers may use. Order has no meaning: the most specific anchor decides.",
    )
    tenants: dict[str, TenantTable] = Field(
        default_factory=dict, description="The tenants, by id. A closed set: all other tenants are refused."
    )
    test: list[TestTable] = Field(
        default_factory=list, description="Decisions that are expected; run by `lattice-bridge check`."
    )


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    found = File.model_json_schema()
    rule = found["$defs"]["RuleTable"]
    rule["oneOf"] = [{"required": [outcome]} for outcome in OUTCOMES]
    rule["anyOf"] = [{"required": [anchor]} for anchor in WRITTEN_ANCHORS]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lattice-bridge: bridge.toml",
        **_without_titles(found),
    }


def _without_titles(node: Any) -> Any:
    """Removes pydantic's titles, which repeat the names."""
    if isinstance(node, dict):
        return {key: _without_titles(value) for key, value in node.items() if not _is_title(key, value)}
    return [_without_titles(item) for item in node] if isinstance(node, list) else node


def _is_title(key: str, value: Any) -> bool:
    return key == "title" and isinstance(value, str)


_EXAMPLES: Final = """\b
Example:
  lattice-bridge schema > bridge.schema.json
"""


@click.command(epilog=_EXAMPLES, name="schema", short_help="Print the JSON Schema of bridge.toml.")
@show.JSON_ALWAYS
def schema_command() -> None:
    """Print the JSON Schema of bridge.toml, with which editors complete keys and mark faults. Exits with 0."""
    show.say_json(schema())
