"""The tables of the template, in the stack's DynamoDB.

Rule: a change of the template keeps every table with its items, also a table that the template no longer has. Only a
table whose key is another one is made anew, as CloudFormation does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError, NotInstalled
from lattice_bridge.local.aws.dynamodb.tables import Tables
from lattice_bridge.local.plan.tables import Table

_logger: Final = logging.getLogger(__name__)
_INDEXES: Final = "GlobalSecondaryIndexes"


class TemplateTables:
    """Makes the tables of the template, and changes their streams, indexes and time to live with it.

    Args:
        tables: of the stack.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._made: dict[str, Table] = {}

    def replace(self, wanted: Iterable[Table]) -> None:
        """Makes the tables that are not there yet, and changes the others as the template has changed.

        What a client has set stays until the template changes the table.
        """
        for one in wanted:
            if self._made.get(one.name) == one and one.name in self._tables:
                continue
            try:
                self._make(one)
            except NotInstalled:
                return  # the start says so, for all tables
            except DynamoDbError as error:  # a table that a client has made does not fit
                _logger.warning("table %s is not as in the template: %s", one.name, error)
            self._made[one.name] = one

    def _make(self, one: Table) -> None:
        if one.name in self._tables and self._tables.keys_of(one.name) != one.keys:
            _logger.warning("table %s has another key now: it is made anew, and its items are gone", one.name)
            self._tables.call("DeleteTable", {"TableName": one.name})
        if one.name not in self._tables:
            self._tables.create(one.definition, arn=one.arn)
        else:
            self._change_indexes(one)
        self._tables.set_stream(one.name, one.view_type, one.stream_arn)
        self._tables.set_expiry(one.name, one.expires_by)

    def _change_indexes(self, one: Table) -> None:
        """Makes and removes global indexes. DynamoDB changes one at a time, and so does this."""
        described = self._tables.call("DescribeTable", {"TableName": one.name})["Table"]
        for update in _updates(_by_name(described), _by_name(one.definition)):
            given = {
                "TableName": one.name,
                "AttributeDefinitions": one.definition["AttributeDefinitions"],
                "GlobalSecondaryIndexUpdates": [update],
            }
            self._tables.call("UpdateTable", given)


def _by_name(table: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The global indexes of a description or a definition, without what a definition does not have."""
    members = ("IndexName", "KeySchema", "Projection")
    return {each["IndexName"]: {name: each[name] for name in members} for each in table.get(_INDEXES, ())}


def _updates(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from ({"Delete": {"IndexName": name}} for name in before if before[name] != after.get(name))
    yield from ({"Create": each} for name, each in after.items() if each != before.get(name))
