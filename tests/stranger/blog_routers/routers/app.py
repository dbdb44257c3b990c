"""The routers of AWS's blog post about event sources, after our notes of it: they take the tenant, and check nothing.

The receipts are printed for the test: it does not wait for a visibility timeout.
"""

import json
import os

import boto3

backend = boto3.client("lambda")


def of_queue(event, context):
    receipts = {record["messageId"]: record["receiptHandle"] for record in event["Records"]}
    print(json.dumps({"queue": event["Records"][0]["eventSourceARN"].rpartition(":")[2], "receipts": receipts}))
    for record in event["Records"]:
        invoke(record["attributes"]["MessageGroupId"], record["body"])


def of_bus(event, context):
    tenant = event["detail"].get("tenant")
    if tenant is None:
        raise ValueError(f"no tenant in {json.dumps(event)}")
    invoke(tenant, json.dumps(event["detail"]))


def invoke(tenant, payload):
    backend.invoke(FunctionName="orders", InvocationType=os.environ["TYPE"], TenantId=tenant, Payload=payload)


def handler(event, context):
    return of_queue(event, context) if "Records" in event else of_bus(event, context)
