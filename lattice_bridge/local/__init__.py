"""The local stack: a front with every way in, an AWS endpoint, and execution environments, on one machine.

curl ──HTTP──▶ front ──event──▶ lambda_service ──▶ pool ──Runtime API──▶ one process per (function, tenant, slot)
                                     ▲
boto3, aws, the bridge ──Invoke──▶ endpoint ──▶ lambda_api

Each folder imports only folders above it in this list:

web            one HTTP server on a loopback port; admission of requests; signatures
plan           what is served, as values: functions, ways in, rules, policies; `plan/readers` reads it from a template
environments   the pool of execution environments, their processes, Runtime API, storage and log; functions at a URL
code           the folders of code and layers, their packages, and the faults that are visible before code runs
bridge         the bridge's configuration; the local signing key, and the trust in it
aws            the AWS endpoint: signatures, Lambda's API and its service (checks, queue, retries), STS; `aws/sqs` has
               the queues and SQS's API, `aws/kinesis` the streams and the API of Kinesis, `aws/dynamodb` the
               tables and their streams, `aws/event_bridge` the event buses, their rules and EventBridge's API
sources        event source mappings: they poll queues, and invoke functions with batches of messages; the
               destinations that receive the records of asynchronous invocations
front          the ways in: `front/exchange` is what all share (callers, recordings), then `lattice`, `apigateway`
inspector      what happened to each request and record, for a page in the browser: a timeline, and each entry in detail

`stack` starts and stops all of it, and `log_writer` writes the log.
"""
