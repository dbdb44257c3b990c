"""The function of this folder in Python. The others do the same, in other runtimes."""

from __future__ import annotations

import os
import time
import urllib.request
from typing import Any
from urllib.error import HTTPError

WORD = "first"
count = 0

if os.environ.get("INIT") == "fails":
    raise RuntimeError("no database")


def handler(event: dict[str, str], context: Any) -> dict[str, Any]:
    global count
    do = event.get("do")
    if do == "crash":
        os._exit(3)
    if do == "hang":
        time.sleep(60)
    if do == "fail":
        raise ValueError("not today")
    status = None
    if do == "steal":
        try:
            status = urllib.request.urlopen(f"http://{event['from']}/2018-06-01/runtime/invocation/next").status
        except HTTPError as error:
            status = error.code
    count += 1
    print(f"serves {context.tenant_id}")
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    found = {"tenant": context.tenant_id, "count": count, "pid": os.getpid(), "word": WORD}
    return {**found, "address": address, "status": status}
