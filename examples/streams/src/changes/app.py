"""Prints the changes of a tenant's orders. The tenant is in the context, where Lambda puts it."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: Any) -> None:
    (record,) = event["Records"]
    change = record["dynamodb"]
    before, after = (change.get(image, {}).get("state", {}).get("S", "-") for image in ("OldImage", "NewImage"))
    print(f"{context.tenant_id}: order {change['Keys']['order']['S']}, {before} → {after}")
