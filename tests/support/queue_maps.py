"""A map with queues for tests of the commands: a queue of two tenants, and one of a single tenant."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "arn:aws:sqs:eu-west-1:111122223333:"
ORDERS: Final = f"{PREFIX}orders"
BLUE: Final = f"{PREFIX}blue-orders"
SHOP: Final = "AROASHOPEXAMPLE12345"

SOURCES: Final = f"""
[[event_source]]
arn = "{ORDERS}"
function = "orders-worker:live"
claim = {{ from = "attribute", name = "tenant" }}
quarantine = "{ORDERS}-quarantine"

[[event_source]]
arn = "{BLUE}"
function = "orders-worker:live"
"""
TENANTS: Final = """
[tenants]
blue = {}
green = {}
red = { status = "suspended" }
"""
RULES: Final = f"""
[[rule]]
id = "shop"
sender = {{ role_id = "{SHOP}" }}
source = "{ORDERS}"
tenants = ["blue", "green", "red"]

[[rule]]
id = "blue-queue"
source = "{BLUE}"
tenant = "blue"
"""
QUEUES: Final = SOURCES + TENANTS + RULES
