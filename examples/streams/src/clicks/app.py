"""Counts the clicks of a tenant's visitors: one record at a time, each once.

The bridge invokes this function with one record, in the shape that Lambda gives to any function behind a stream. The
tenant is in the context, where Lambda puts it: a record cannot change it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

KEPT = 1000

done: dict[str, int] = {}
"""Sequence number → the number of the click. Memory forgets: a real function keeps them in a table of the tenant."""


def handler(event: dict[str, Any], context: Any) -> None:
    (record,) = event["Records"]
    number = record["kinesis"]["sequenceNumber"]
    if number in done:  # Lambda delivers everything from a record that failed again, also what was done
        print(f"{context.tenant_id}: click {done[number]} again, nothing to do")
        return
    click = json.loads(base64.b64decode(record["kinesis"]["data"]))
    if not click["page"].startswith("/"):
        raise ValueError("a click is on a page")  # delivered again, then discarded
    done[number] = len(done) + 1
    if len(done) > KEPT:
        del done[next(iter(done))]
    print(f"{context.tenant_id}: click {done[number]}, on {click['page']}")
