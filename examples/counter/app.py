"""Counts the requests of an execution environment.

The template deploys it twice. With tenant isolation, each tenant has its own environments and so its own counters.
Without it, all tenants share a counter, because it is in the module's memory.
"""

from __future__ import annotations

import json
import os
from typing import Any

counter = 0


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    global counter
    counter += 1
    tenant = context.tenant_id  # Lambda sets it, only for a function with tenant isolation
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
    """Returns a header's value. The bridge overwrites the tenant header with the tenant that it has decided."""
    value: str | list[str] | None = event["headers"].get(name)
    return value[0] if isinstance(value, list) else value
