"""A map with a stream, a table, a bus and a pipe, for tests of the commands and of the testing kit."""

from __future__ import annotations

from typing import Final

_ARN: Final = "arn:aws:%s:eu-west-1:111122223333:"
CLICKS: Final = f"{_ARN % 'kinesis'}stream/clicks"
PIPED: Final = f"{_ARN % 'kinesis'}stream/piped"
CARTS: Final = f"{_ARN % 'dynamodb'}table/carts"
SHOP: Final = f"{_ARN % 'events'}event-bus/shop"
QUARANTINE: Final = f"{_ARN % 'sqs'}set-aside"

CLICKS_SOURCE: Final = f"""
[[event_source]]
arn = "{CLICKS}"
function = "worker"
claim = {{ from = "partition_key" }}
quarantine = "{QUARANTINE}"
"""
STREAMS: Final = f"""
{CLICKS_SOURCE}
deaggregate = true

[[event_source]]
arn = "{CARTS}"
function = "worker"
claim = {{ from = "image", name = "owner" }}
on_poison = "block"

[[event_source]]
arn = "{SHOP}"
function = "worker"
claim = {{ from = "detail", path = ["tenant"] }}

[[event_source]]
arn = "{PIPED}"
function = "worker"
pipe = "enrichment"
claim = {{ from = "partition_key" }}
quarantine = "{QUARANTINE}"
"""
TENANTS: Final = """
[tenants]
blue = {}
green = {}
old = { status = "suspended" }
"""
RULES: Final = (
    "".join(
        f"""
[[rule]]
id = "{name}"
source = "{arn}"
tenants = ["blue", "green", "old"]
accept_risk = "a test"
"""
        for name, arn in (("clicks", CLICKS), ("carts", CARTS), ("piped", PIPED))
    )
    + """
[[rule]]
id = "shop"
event_account = "111122223333"
tenants = ["blue", "green", "old"]
"""
)
MAP: Final = STREAMS + TENANTS + RULES
