"""The function `orders`. Lambda runs each tenant in environments of its own, so this module's state is one tenant's."""

from itertools import count

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

REQUESTS = count(1)

app = APIGatewayRestResolver()


@app.get("/orders")
def get_orders():
    return {"tenant": app.lambda_context.tenant_id, "request": next(REQUESTS)}


def handler(event, context):
    return app.resolve(event, context)
