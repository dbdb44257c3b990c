"""Returns a tenant's latest requests. They are kept in memory, which tenant isolation separates."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Any

KEPT = 10

requests = 0
recent: deque[dict[str, Any]] = deque(maxlen=KEPT)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    global requests
    requests += 1
    path = event["path"] if "path" in event else event["raw_path"]
    recent.append({"number": requests, "method": event["method"], "path": path, "at": round(time.time(), 3)})
    answer = {"tenant_id": context.tenant_id, "requests": requests, "recent": list(recent)}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
