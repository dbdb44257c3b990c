"""The function `orders`. Lambda runs each tenant in environments of its own, so this module's state is one tenant's."""

import json
from itertools import count

REQUESTS = count(1)


def handler(event, context):
    answer = {"tenant": context.tenant_id, "request": next(REQUESTS)}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
