"""Load: many threads and two tenants, and each response comes from a process of its own tenant."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.support.stack import running

REQUESTS = 2_000
THREADS = 16
TENANTS = ("BlueTenant", "GreenTenant")


def test_no_process_serves_two_tenants() -> None:
    """Trap D15."""
    with running("--parameter", "AuthType=NONE") as stack:
        address = urlsplit(stack.front)

        def client(number: int) -> list[tuple[str, str, int, int]]:
            connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
            found = []
            for turn in range(REQUESTS // THREADS):
                tenant = TENANTS[(number + turn) % 2]
                connection.request("GET", "/isolated", headers={"x-tenant-id": tenant})
                response = connection.getresponse()
                answer = json.loads(response.read())
                found.append((tenant, answer["tenant_id"], answer["process"], answer["counter"]))
            connection.close()
            return found

        with ThreadPoolExecutor(THREADS) as pool:
            answers = [answer for found in pool.map(client, range(THREADS)) for answer in found]

    assert len(answers) == REQUESTS
    assert [asked for asked, served, _, _ in answers if asked != served] == []
    processes = {tenant: {process for asked, _, process, _ in answers if asked == tenant} for tenant in TENANTS}
    assert processes["BlueTenant"] & processes["GreenTenant"] == set()
    # A process counts its own requests: none was lost, none ran twice.
    assert len({(process, counter) for _, _, process, counter in answers}) == REQUESTS
