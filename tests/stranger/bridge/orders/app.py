import json


def handler(event, context):
    print("asked for", event["path"])
    return {"statusCode": 200, "body": json.dumps({"tenant": context.tenant_id})}
