"""`lattice-v1`: what a target group of event structure V1 would have sent.

Rule: docs/wire.md §1. Source: Lambda functions as targets in VPC Lattice, and captures where they differ.
"""

from __future__ import annotations

from typing import Any

from lattice_bridge.formats import gateway, maps
from lattice_bridge.formats.forwarded import Forwarded


def event(forwarded: Forwarded) -> dict[str, Any]:
    """One string a header and a query name; identity in headers; every key always there.

    Cannot be said: which of several values a header had that holds commas; all but the first of a repeated query name,
    outside of `raw_path`; the service, its network and the time; a certificate's field with a `;` in it.
    """
    request = forwarded.request
    return {
        "raw_path": request.target,
        "method": request.method,
        "headers": {
            **maps.joined(maps.one_cookie_line(forwarded.headers())),
            **gateway.identity_headers(request.caller),
        },
        "query_string_parameters": maps.first(request.query_all),  # as captured; AWS's page says the last
        "body": request.text,
        "is_base64_encoded": request.is_base64,
        "request_id": forwarded.request_id,
    }
