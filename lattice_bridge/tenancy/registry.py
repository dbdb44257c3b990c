"""The tenant registry: tenants as items of a DynamoDB table, cached while the table is out of reach.

Rule: if the table cannot be read, unknown tenants get 503, never access. Only an item whose status is `active` is an
active tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lattice_bridge.aws import AwsClient, code_of
from lattice_bridge.errors import InvalidMap, Unavailable
from lattice_bridge.message import is_tenant_id
from lattice_bridge.runtime.cache import Failed, StaleIfErrorCache
from lattice_bridge.runtime.process import elapsed
from lattice_bridge.tenancy.rules import Tenant

MISS_TTL: Final = 5.0
"""Seconds, at most, for which a name that the table does not have is refused without a fetch."""

MISSES: Final = 10_000
"""Such names that are cached."""

Item = Mapping[str, Any]
"""An item in DynamoDB's own typing: `{"tenant": {"S": "blue"}, "status": {"S": "active"}}`."""


class Registry:
    """The tenants of one table. Any number of threads may call `find`.

    A tenant is answered from the cache for `ttl` seconds, then fetched again. While the table cannot be read, the last
    known answer is used: a suspended tenant stays suspended, an active one active. A name that was never fetched, or
    that the table did not have, is `Unavailable` then.

    Args:
        fetch: returns a name's item, or None if the table has none. May raise anything.
        warm: prepares the first fetch.
        clock: seconds; may jump. Ages are counted from the beginning of a fetch.
        ttl: seconds for which an answer is not fetched again. For a name that the table does not have, 5 at most.
        max_stale: seconds for which the last known answer is used while the table cannot be read.
        size: known tenants in the cache.
        pause: seconds after a failed fetch in which no other begins, whatever the name. After it, one fetch a pause
            tries again until one succeeds. Without it, an outage would cost each request a timeout.
        wait: seconds after a fetch's beginning for which other requests wait for it, even if `fetch` takes longer.
    """

    def __init__(
        self,
        fetch: Callable[[str], Item | None],
        *,
        warm: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = elapsed,
        ttl: float = 60,
        max_stale: float = 3600,
        size: int = 10_000,
        pause: float = 1.0,
        wait: float = 5.0,
    ) -> None:
        self._warm = warm
        self._cache = StaleIfErrorCache[str, Tenant](
            lambda name: _fetched(fetch, name),
            ttl=ttl,
            max_stale=max_stale,
            pause=pause,
            wait=wait,
            size=size,
            miss_ttl=min(ttl, MISS_TTL),
            misses=MISSES,
            clock=clock,
        )

    def warm(self) -> None:
        """Prepares the first fetch, without a request.

        Raises:
            InvalidMap: boto3, which fetches, is not installed.
        """
        try:
            self._warm()
        except ImportError as error:
            raise InvalidMap([f"[registry]: {code_of(error)}"]) from error
        except Exception:  # noqa: S110 - the first fetch reports it
            pass

    def find(self, name: str) -> Tenant | None:
        """The tenant of exactly this name, as the table spells it. None if the table has no such tenant.

        Raises:
            Unavailable: `registry_unavailable`: the table cannot be read, and no known answer is young enough.
        """
        if not is_tenant_id(name):
            return None
        found = self._cache.get(name)
        if isinstance(found, Failed):
            raise Unavailable("registry_unavailable", found.detail, retry_after=self._cache.retry_after())
        return found


def _fetched(fetch: Callable[[str], Item | None], name: str) -> Tenant | Failed | None:
    try:
        item = fetch(name)
    except Exception as error:
        raise Unavailable("registry_unavailable", f"the registry could not be asked ({_cause(error)})") from error
    return _tenant_of(item, name)


def _tenant_of(item: object, name: str) -> Tenant | Failed | None:
    """A status that is absent, misspelt or of another type is not `active`, so a misspelt suspension is one."""
    if item is None:
        return None
    if not isinstance(item, Mapping) or item.get("tenant") != {"S": name}:
        return Failed("the registry's item is not of the tenant that was asked for")
    return Tenant(item["tenant"]["S"], active=item.get("status") == {"S": "active"})


# ---- DynamoDB -------------------------------------------------------------------------------------------------------


class DynamoDbTable:
    """Fetches items of a table whose only key attribute is the string `tenant`. A fetch takes two seconds at most.

    Args:
        table: name or ARN.
        region: boto3's own if None.

    Attributes:
        connect: returns boto3's client, without a request.
    """

    def __init__(self, table: str, region: str | None = None) -> None:
        self._table = table
        self.connect = AwsClient("dynamodb", region, read_timeout=1)

    def __call__(self, name: str) -> Item | None:
        """The item of this name, or None. Raises boto3's exceptions."""
        answer = self.connect().get_item(
            TableName=self._table,
            Key={"tenant": {"S": name}},
            # Otherwise an answer from before a suspension could be cached as if it were new.
            ConsistentRead=True,
            ProjectionExpression="#tenant, #status",  # `status` is a reserved word
            ExpressionAttributeNames={"#tenant": "tenant", "#status": "status"},
        )
        item: Item | None = answer.get("Item")
        return item


_ADVICE: Final[Mapping[str, str]] = {
    "AccessDeniedException": "grant the bridge dynamodb:GetItem on the table",
    "ResourceNotFoundException": "there is no such table in this account and region",
    "ValidationException": "the table's key has to be `tenant`, a string, and nothing else",
}


def _cause(error: Exception) -> str:
    kind = code_of(error)
    return f"{kind}: {_ADVICE[kind]}" if kind in _ADVICE else kind
