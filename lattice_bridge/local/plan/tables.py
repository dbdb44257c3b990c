"""Tables of Amazon DynamoDB, as values.

Rule: values only. `readers.tables` makes them from a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the template.

    Attributes:
        id: its logical id.
        name: that DynamoDB has for it.
        arn: of the table.
        stream_arn: the value of `!GetAtt X.StreamArn`, which mappings have. It is one for as long as the stack runs.
        definition: parameters of CreateTable, without those of the stream.
        view_type: what the records of its stream contain, as in `NEW_AND_OLD_IMAGES`; empty without a stream.
        expires_by: the attribute for time to live; empty if no item expires.
    """

    id: str
    name: str
    arn: str
    stream_arn: str
    definition: Mapping[str, Any]
    view_type: str = ""
    expires_by: str = ""

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """The names and types of its key, as in `(("id", "S"),)`. The hash key comes first."""
        types = {each["AttributeName"]: each["AttributeType"] for each in self.definition["AttributeDefinitions"]}
        return tuple((each["AttributeName"], types[each["AttributeName"]]) for each in self.definition["KeySchema"])
