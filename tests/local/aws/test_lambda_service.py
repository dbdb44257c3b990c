"""The ids that Lambda makes."""

from __future__ import annotations

import re
from uuid import RFC_4122, UUID

from lattice_bridge.local.aws.lambda_service import new_request_id, new_trace_id


def test_request_id_is_a_random_uuid() -> None:
    """Logs and the inspector find a request by it, so no two may be equal."""
    texts = {new_request_id() for _ in range(200)}
    assert len(texts) == 200
    for text in texts:
        found = UUID(text)
        assert (str(found), found.version, found.variant) == (text, 4, RFC_4122)


def test_trace_id_has_a_root_and_a_parent_of_its_own() -> None:
    form = re.compile("Root=1-[0-9a-f]{8}-([0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=0")
    matches = [form.fullmatch(new_trace_id()) for _ in range(50)]
    assert len({match.groups() for match in matches if match}) == 50
