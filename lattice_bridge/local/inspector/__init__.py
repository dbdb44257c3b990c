"""The inspector: what happened to each request and record of a local stack, for a page in the browser."""

from __future__ import annotations

from typing import Final

PORT: Final = 8081
"""The default port of its server, so that a firewall's rule or a tunnel can be kept."""
