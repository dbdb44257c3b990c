"""The tables, by moto: expressions, conditions, queries, indexes. The only module that imports moto.

Rule: moto's own streams are not used. A write of moto may leave a half of an update behind if it fails, so the caller
takes a copy of each item before a write, and puts it back after an error.

The methods of moto's response class are called, one for each operation. They validate as DynamoDB does, and need no
HTTP request, no account of an access key, and none of moto's global state: the backend belongs to this engine. Above
all, `mock_aws` is not used: it replaces botocore's transport in the whole process. (Importing moto adds its handler to
botocore's, as `import moto` always does; it does nothing unless `mock_aws` is active.)
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from decimal import localcontext
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as StoredItem
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from werkzeug.exceptions import HTTPException

from lattice_bridge.local.aws.dynamodb.errors import PREFIX, DynamoDbError, NotHere, invalid
from lattice_bridge.local.aws.dynamodb.values import Item

Stored = StoredItem | None
"""An item as moto keeps it; None if there is none."""


class _Table(Table):
    """A table that is not copied: before each part of a transaction, moto would copy the whole table."""

    def __deepcopy__(self, _memo: object) -> _Table:
        return self

    def get_item(self, hash_key: DynamoType, range_key: DynamoType | None = None, *rest: Any, **given: Any) -> Stored:
        if range_key is not None and hash_key not in self.items:
            return None  # moto would keep an empty entry for each hash key that a client asks for
        return super().get_item(hash_key, range_key, *rest, **given)


class _Backend(DynamoDBBackend):
    def create_table(self, name: str, **given: Any) -> Table:  # type: ignore[override] # passes on what moto gives
        table = _Table(name, account_id=self.account_id, region=self.region_name, **given)  # type: ignore[abstract] # as moto
        self.tables[name] = table
        return table


class _Handler(DynamoHandler):
    """The operations of one backend.

    Args:
        backend: has the tables.
        parameters: of the request.
    """

    def __init__(self, backend: DynamoDBBackend, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self._backend = backend
        self.body = self.params = parameters

    @property
    def dynamodb_backend(self) -> DynamoDBBackend:
        return self._backend


class Engine:
    """Tables in this process.

    Args:
        region: of the tables.
        account: of the tables.
    """

    def __init__(self, region: str, account: str) -> None:
        self._backend = _Backend(region, account)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Does an operation.

        Args:
            operation: as in `PutItem`.
            parameters: checked, as `values.parse` gives them.

        Returns:
            The result, with binary values as bytes.

        Raises:
            DynamoDbError: DynamoDB refuses it, or moto cannot do it.
        """
        method = re.sub("(?<!^)(?=[A-Z])", "_", operation).lower()
        try:
            with localcontext(prec=400):  # no sum is rounded: one that no number has is refused
                result = getattr(_Handler(self._backend, parameters), method)()
        except HTTPException as error:
            name = str(getattr(error, "error_type", "ValidationException")).removeprefix(PREFIX)
            raise DynamoDbError(name, getattr(error, "message", str(error)), members=_members(error)) from error
        except ValueError as error:  # of moto's parsers of expressions
            raise invalid(f"{operation}: {str(error)[:300]}") from error
        except Exception as error:  # moto checks less than DynamoDB, and fails at what it does not expect
            what = f"{operation}: the emulator of this local stack fails at this request ({type(error).__name__})"
            raise NotHere(f"{what}. Fix: check its expressions and values, or write it in another way") from error
        return result.result or {}

    def set_arn(self, table: str, arn: str) -> None:
        """Gives a table the ARN of a deployed one."""
        self._backend.tables[table].table_arn = arn

    # ---- items ------------------------------------------------------------------------------------------------------

    def take(self, table: str, key: Item) -> tuple[Item | None, Stored]:
        """An item, and a copy of it as moto keeps it; both None if there is none. No write changes them."""
        found = self._backend.tables[table].get_item(*self._parts(table, key))
        return (None, None) if found is None else (plain(found), copy.deepcopy(found))

    def put_back(self, table: str, key: Item, stored: Stored) -> None:
        """Replaces an item by a copy that was taken before."""
        items, (hash_key, range_key) = self._backend.tables[table].items, self._parts(table, key)
        where: dict[Any, Any] = items if range_key is None else items[hash_key]
        if stored is not None:
            where[range_key or hash_key] = stored
            return
        where.pop(range_key or hash_key, None)
        if range_key is not None and not where:
            del items[hash_key]

    def settle(self, table: str, key: Item) -> Item | None:
        """An item after a write; None if there is none.

        It is replaced by a new one: after `SET a = b`, moto has one value for both, and would change both at a time.
        The last item of a hash key takes its entry with it.
        """
        found = self._backend.tables[table].get_item(*self._parts(table, key))
        if found is None:
            self.put_back(table, key, None)
            return None
        item = plain(found)
        self.put_back(table, key, StoredItem(found.hash_key, found.range_key, item))
        return item

    def items(self, table: str) -> Iterator[Item]:
        """Every item of a table."""
        return (plain(stored) for stored in list(self._backend.tables[table].all_items()))

    def _parts(self, table: str, key: Item) -> tuple[DynamoType, DynamoType | None]:
        hash_name, range_name = self._backend.tables[table].hash_key_attr, self._backend.tables[table].range_key_attr
        return DynamoType(key[hash_name]), None if range_name is None else DynamoType(key[range_name])


def _members(error: HTTPException) -> Mapping[str, Any]:
    """What moto writes into an error beside its name and message."""
    try:
        found = json.loads(error.description or "{}")
    except ValueError:
        return {}
    return {name: value for name, value in found.items() if name in ("Item", "CancellationReasons")}


def plain(stored: StoredItem) -> dict[str, Any]:
    """An item as attribute values."""
    return {name: _plain(value) for name, value in stored.attrs.items()}


def _plain(value: Any) -> dict[str, Any]:
    found = value.value
    if isinstance(found, dict):
        return {value.type: {name: _plain(one) for name, one in found.items()}}
    if isinstance(found, list):
        return {value.type: [_plain(one) if isinstance(one, DynamoType) else one for one in found]}
    return {value.type: found}
