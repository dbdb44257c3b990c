"""How many requests has this execution environment seen?

One source, two functions: with tenant isolation each tenant has an environment, and a counter, of its own; without it
all tenants share one. The module's memory is the whole point: it is what isolation isolates.
"""

from __future__ import annotations

import json
import os
from typing import Any

counter = 0


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    global counter
    counter += 1
    tenant = context.tenant_id  # set by Lambda itself, only for a function with tenant isolation
    answer: dict[str, Any] = {"counter": counter, "tenant_id": tenant, "isolation_enabled": tenant is not None}
    if tenant is not None:
        answer["message"] = f"This environment serves {tenant} alone; it has seen {counter} of its requests."
    else:
        answer["message"] = f"This environment serves every tenant; it has seen {counter} requests of all of them."
        answer["tenant_id_received"] = _header(event, "x-tenant-id")
        answer["warning"] = "Without tenant isolation, what one tenant leaves in memory the next one finds."
    answer["process"] = os.getpid()
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}


def _header(event: dict[str, Any], name: str) -> str | None:
    """The bridge sets the header to the tenant it decided on, whatever the client wrote there."""
    value: str | list[str] | None = event["headers"].get(name)
    return value[0] if isinstance(value, list) else value
