"""A module that takes longer to import than its function may run."""

import time
from typing import Any

time.sleep(3)


def handler(_event: object, context: Any) -> int:
    return int(context.get_remaining_time_in_millis())
