"""Takes an order of one tenant, as a task of a state machine.

The tenant is in the context, where Lambda puts it: neither a message nor a payload can change it. A task that came
through the bridge is a record of a queue, and waits for an answer with its token. A task that invoked the function
itself receives the return value.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any


def handler(event: dict[str, Any], context: Any, steps: Any = None) -> dict[str, Any]:
    """`steps` is a client of Step Functions; None to make one when it is needed."""
    if "Records" not in event:
        return book(event, context.tenant_id)
    (record,) = event["Records"]
    task = json.loads(record["body"])
    answer = book(task["order"], context.tenant_id)
    if "token" in task:  # a message that you send by hand has none
        send(steps or client(), task["token"], answer)
    return {}  # the record is done


def book(order: dict[str, Any], tenant: str) -> dict[str, Any]:
    """A real function books an order once, also if the message arrives twice: see docs/queues.md, Idempotency."""
    if order["quantity"] < 1:
        raise ValueError("an order has at least one piece")  # delivered again, then to the dead-letter queue
    print(f"{tenant}: {order['quantity']} pieces")
    return {"tenant": tenant, "booked": order["quantity"]}


def send(steps: Any, token: str, answer: dict[str, Any]) -> None:
    """Ends the task of the state machine. If it has ended already, another try would help no one."""
    try:
        steps.send_task_success(taskToken=token, output=json.dumps(answer))
    except (steps.exceptions.TaskTimedOut, steps.exceptions.TaskDoesNotExist):
        print("the state machine no longer waits for this task")


@cache
def client() -> Any:
    import boto3  # Lambda's runtime has it; imported here, because an invocation without a token needs none

    return boto3.client("stepfunctions")
