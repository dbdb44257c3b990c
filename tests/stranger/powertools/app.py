"""Orders, with Powertools' resolver for V2 events."""

from aws_lambda_powertools.event_handler import VPCLatticeV2Resolver

app = VPCLatticeV2Resolver()


@app.get("/orders")
def orders():
    return {"states": app.current_event.resolved_query_string_parameters.get("state", [])}


@app.post("/orders")
def order():
    return {"ordered": app.current_event.json_body["id"]}


def handler(event, context):
    return app.resolve(event, context)
