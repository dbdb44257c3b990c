"""The alternative to the router, with Powertools and boto3. It trusts the attribute that names the tenant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from benchmarks.configuration import FUNCTION

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

processor = BatchProcessor(event_type=EventType.SQS)
client = boto3.client("lambda")


def forward(record: SQSRecord) -> None:
    """One record, to the tenant's own environment."""
    answer = client.invoke(
        FunctionName=FUNCTION,
        TenantId=record.raw_event["messageAttributes"]["tenant"]["stringValue"],
        Payload=json.dumps({"Records": [record.raw_event]}),
    )
    reported = json.loads(answer["Payload"].read())
    if "FunctionError" in answer or (reported and reported.get("batchItemFailures")):
        raise RuntimeError("the function failed")


def handler(event: dict[str, Any], context: Any) -> Any:
    """Lambda's entry point."""
    return process_partial_response(event, forward, processor, context)
