"""Maps for tests of the commands: a queue of two tenants, and one of a single tenant; an event bus, and a stream."""

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

BUS: Final = "arn:aws:events:eu-west-1:111122223333:event-bus/orders"
STREAM: Final = "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks"
EVENTS: Final = f"""
[[event_source]]
arn = "{BUS}"
function = "orders-worker:live"
claim = {{ from = "detail", path = ["tenant"] }}

[[event_source]]
arn = "{STREAM}"
function = "orders-worker:live"
quarantine = "{ORDERS}-quarantine"
{TENANTS}
[[rule]]
id = "shop"
event_account = "111122223333"
tenants = ["blue", "green", "red"]

[[rule]]
id = "schedule"
source = "{BUS}"
bus_source = "aws.events"
tenants = ["blue", "green"]
accept_risk = "a test"

[[rule]]
id = "no-schedule"
event_account = "111122223333"
bus_source = "aws.events"
tenant = "red"

[[rule]]
id = "clicks"
source = "{STREAM}"
tenant = "blue"
"""
