"""template.yaml: AWS's own tools accept it, its parameters have their effect, and its alarms watch existing metrics."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Options
from lattice_bridge.config.settings import Settings
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.cloudformation.sam import translate
from lattice_bridge.deployment.cloudformation.template import Resource, Template, read_translated
from lattice_bridge.errors import REASONS
from lattice_bridge.telemetry import LogContext, RequestLog, lines, reload_lines
from tests.support.commands import read
from tests.support.paths import ROOT

TEMPLATE: Final = ROOT / "template.yaml"
REGION: Final = "us-east-1"
CHANGED: Final = {
    "OrganizationId": "o-a1b2c3d4e5",
    "CallerVpcIds": "vpc-0123456789abcdef0,vpc-1123456789abcdef0",
    "ConfigObject": "bridge-config/bridge.toml",
    "ConfigKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1",
    "BridgeReservedConcurrency": "100",
    "IdleTimeout": "120",
    "Tracing": "Active",
    "Rollout": "AllAtOnce",
    "TenantRegistry": "yes",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
    "DataKeyArn": "arn:aws:kms:us-east-1:123456789012:key/2",
    "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
    "MetricsNamespace": "Staging",
    "DomainName": "orders.example.org",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
    "VpcId": "vpc-0123456789abcdef0",
    "VpcSecurityGroupIds": "sg-0123456789abcdef0",
}


def options() -> Options:
    return Settings.load({"LAMBDA_TASK_ROOT": str(ROOT)}).options


@cache
def template(**parameters: str) -> Template:
    return read_translated(TEMPLATE, parameters, REGION)


@cache
def plain(**parameters: str) -> str:
    """What AWS makes of the template, as JSON."""
    return json.dumps(translate(TEMPLATE.read_text(encoding="utf-8"), parameters, REGION))


def alarms() -> list[Resource]:
    return template().of_type("AWS::CloudWatch::Alarm")


# ---- AWS's tools ----------------------------------------------------------------------------------------------------


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Runs cfn-lint offline: every request it may make ends at a closed port."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", REGION, "--", *map(str, paths)]
    return subprocess.run(command, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False)


def written_by_init(folder: Path, version: str) -> Path:
    assert read("init", str(folder / version), "--event-version", version).exit_code == 0
    return folder / version / "template.yaml"


def test_cfn_lint_accepts_every_template(tmp_path: Path) -> None:
    """The shipped ones, what AWS makes of one, and those of `init`; in one process, because it starts slowly."""
    translated = json.loads(plain())
    unused = {"config": {"ignore_checks": ["W2001"]}}  # the parameter Rollout: the translator put in its value
    translated["Metadata"] = {"cfn-lint": unused}
    (tmp_path / "translated.json").write_text(json.dumps(translated), encoding="utf-8")
    projects = [written_by_init(tmp_path, version) for version in ("V1", "V2")]
    wrong = tmp_path / "wrong.yaml"  # found after the others, so all of them are read
    wrong.write_text("Resources: {Topic: {Type: AWS::SNS::Topic, Properties: {Wrong: a}}}\n")
    examples = [ROOT / "examples" / name / "template.yaml" for name in ("events", "queue", "streams")]
    found = lint(TEMPLATE, tmp_path / "translated.json", *examples, *projects, wrong)
    places = re.findall(r"^(\S+):\d+:\d+$", found.stdout, re.MULTILINE)
    assert (places, found.stderr) == ([str(wrong)], "")


@pytest.mark.parametrize(
    "parameters",
    [CHANGED, {"AuthType": "NONE"}, {"ConfigParameter": "/bridge/map"}, {"ServiceNetworkId": "sn-0123456789abcdef0"}],
    ids=["all changed", "open", "configuration in SSM", "an existing network"],
)
def test_template_with_other_parameters_has_no_findings(parameters: dict[str, str]) -> None:
    unsigned = parameters.get("AuthType") == "NONE"
    assert template_findings(TEMPLATE, options(), parameters, REGION, unsigned=unsigned) == []


def test_every_parameter_has_a_default_and_a_description() -> None:
    parameters = json.loads(plain())["Parameters"]
    assert len(parameters) >= 20
    for name, declared in parameters.items():
        assert {"Default", "Description", "Type"} <= set(declared), name


# ---- what the parameters do -----------------------------------------------------------------------------------------


def test_unsigned_callers_are_admitted_only_with_auth_type_none() -> None:
    policy = template().resources["ServiceAuthPolicy"].properties["Policy"]
    (statement,) = policy["Statement"]
    assert statement["Condition"] == {"StringNotEqualsIgnoreCase": {"aws:PrincipalType": "anonymous"}}
    assert "ServiceAuthPolicy" not in template(AuthType="NONE").resources


def test_organisation_and_vpcs_restrict_callers() -> None:
    statements = template(**CHANGED).resources["ServiceAuthPolicy"].properties["Policy"]["Statement"]
    assert [(one["Effect"], one["Condition"]) for one in statements[1:]] == [
        ("Deny", {"StringNotEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}),
        ("Deny", {"StringNotEquals": {"vpc-lattice-svcs:SourceVpc": CHANGED["CallerVpcIds"].split(",")}}),
    ]


def test_defaults_reserve_trace_and_register_nothing() -> None:
    by_default, changed = template().resources, template(**CHANGED).resources
    assert "ReservedConcurrentExecutions" not in by_default["BridgeFunction"].properties
    assert "TenantTable" not in by_default
    assert [policy["PolicyName"] for policy in by_default["BridgeRole"].properties["Policies"]] == ["backends", "logs"]
    assert changed["TenantTable"].properties["SSESpecification"]["KMSMasterKeyId"] == CHANGED["DataKeyArn"]
    assert {policy["PolicyName"] for policy in changed["BridgeRole"].properties["Policies"]} == {
        *("backends", "logs", "config-in-s3", "config-key", "tenants", "traces")
    }


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ({}, "bridge.toml"),
        ({"ConfigObject": "bucket/k.toml"}, "s3://bucket/k.toml"),
        ({"ConfigParameter": "/bridge/map"}, "ssm:/bridge/map"),
        ({"AuthType": "NONE"}, "examples/open.toml"),
        ({"AuthType": "NONE", "ConfigFile": "bridge.toml"}, "bridge.toml"),
        ({"ConfigFile": "maps/prod.toml"}, "maps/prod.toml"),
    ],
)
def test_configuration_variable_follows_the_parameters(parameters: dict[str, str], place: str) -> None:
    function = template(**parameters).resources["BridgeFunction"]
    assert function.properties["Environment"]["Variables"]["LATTICE_BRIDGE_CONFIG"] == place


def test_existing_network_is_joined() -> None:
    found = template(ServiceNetworkId="sn-0123456789abcdef0")
    assert found.of_type("AWS::VpcLattice::ServiceNetwork") == []
    (association,) = found.of_type("AWS::VpcLattice::ServiceNetworkServiceAssociation")
    assert association.properties["ServiceNetworkIdentifier"] == "sn-0123456789abcdef0"


def test_rollout_is_a_canary_with_two_alarms() -> None:
    (group,) = template().of_type("AWS::CodeDeploy::DeploymentGroup")
    assert group.properties["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    watched = [alarm["Name"] for alarm in group.properties["AlarmConfiguration"]["Alarms"]]
    assert watched == ["NewVersionAlarm", "BridgeFaultAlarm"]


def test_rollout_alarm_watches_the_new_version_only() -> None:
    dimensions = {one["Name"] for one in template().resources["NewVersionAlarm"].properties["Dimensions"]}
    assert dimensions == {"FunctionName", "Resource", "ExecutedVersion"}


def test_all_at_once_rollout_has_no_alarms() -> None:
    (group,) = template(Rollout="AllAtOnce").of_type("AWS::CodeDeploy::DeploymentGroup")
    assert group.properties["AlarmConfiguration"] == {}


def versions(**parameters: str) -> dict[str, str]:
    """The logical id of each function's version. A changed one publishes a version and moves the alias."""
    resources = json.loads(plain(**parameters))["Resources"]
    found = {name: body for name, body in resources.items() if body["Type"] == "AWS::Lambda::Version"}
    return {body["Properties"]["FunctionName"]["Ref"]: name for name, body in found.items()}


def test_changed_parameter_makes_a_new_version_of_its_function() -> None:
    """SAM compares the written template, in which a parameter is the same for each of its values."""
    text, before = TEMPLATE.read_text(encoding="utf-8"), versions()
    document = json.loads(plain())["Resources"]
    functions = {name: body for name, body in document.items() if body["Type"] == "AWS::Lambda::Function"}
    written = text.partition("\nResources:")[2]
    for function, body in functions.items():
        own = written.partition(f"\n  {function}:\n")[2].partition("\n\n")[0]
        named = set(re.findall(r"!Ref (\w+)|\$\{(\w+)\}", own))
        conditions = {
            "ConfigNamed": "ConfigFile",
            "ConfigInS3": "ConfigObject",
            "ConfigInSsm": "ConfigParameter",
            "Authenticated": "AuthType",
        }
        wanted = {one or other for one, other in named} | {conditions[one] for one in conditions if one in own}
        if body["Properties"]["Timeout"] == {"Ref": "BackendTimeout"}:
            wanted.add("BackendTimeout")
        for parameter in wanted & set(OTHER):
            assert versions(**{parameter: OTHER[parameter]})[function] != before[function], (function, parameter)
    assert versions(LogRetentionDays="90") == before


OTHER: Final = {
    "AuthType": "NONE",
    "BackendTimeout": "20",
    "BridgeMemory": "1024",
    "BridgeTimeout": "60",
    "ConfigFile": "maps/prod.toml",
    "ConfigObject": "bridge-config/bridge.toml",
    "ConfigParameter": "/bridge/map",
    "MetricsNamespace": "Staging",
    "Tracing": "Active",
}
"""Parameter that a version depends on → a value other than its default."""


def test_description_with_all_parameters_fits_lambdas_limit() -> None:
    longest = {"ConfigFile": 30, "ConfigObject": 80, "ConfigParameter": 64, "MetricsNamespace": 30}
    declared = json.loads(plain())["Parameters"]
    for name in ("ConfigFile", "ConfigObject", "ConfigParameter"):
        assert declared[name]["MaxLength"] == longest[name]
    assert "{0,29}" in declared["MetricsNamespace"]["AllowedPattern"]
    values = {name: "x" * length for name, length in longest.items()} | {
        "BridgeMemory": "10240",
        "BridgeTimeout": "600",
    }
    values |= {"ConfigObject": "b" * 63 + "/" + "k" * 16, "ConfigParameter": "/" + "p" * 63}
    function = template(**values).resources["BridgeFunction"]
    assert 200 < len(function.properties["Description"]) <= 256


def test_contradicting_parameters_are_refused_by_a_rule() -> None:
    for parameters, rule in [
        ({"DomainName": "orders.example.org"}, "DomainWithCertificate"),
        ({"ServiceNetworkId": "sn-0123456789abcdef0", "VpcId": "vpc-0123456789abcdef0"}, "VpcOfANewNetwork"),
        ({"AuthType": "NONE", "OrganizationId": "o-a1b2c3d4e5"}, "RestrictionsNeedAuthentication"),
        ({"AuthType": "NONE", "CallerVpcIds": "vpc-0123456789abcdef0"}, "RestrictionsNeedAuthentication"),
    ]:
        found = template_findings(TEMPLATE, options(), parameters, REGION, unsigned=True)
        assert [one.subject for one in found] == [rule], parameters


def test_logs_and_failure_queue_outlive_the_stack() -> None:
    text = json.loads(plain())["Resources"]
    for kept in ("BridgeLogs", "AccessLogs", "FailureQueue"):
        assert text[kept]["DeletionPolicy"] == "RetainExceptOnCreate"
    name = template().resources["AccessLogs"].properties["LogGroupName"]
    assert re.fullmatch(r"/aws/vendedlogs/vpc-lattice/local-\w+", name)


def test_roles_have_the_boundary_and_stores_the_key() -> None:
    found = template(**CHANGED)
    roles = found.of_type("AWS::IAM::Role")
    assert len(roles) == 5
    assert {role.properties["PermissionsBoundary"] for role in roles} == {CHANGED["PermissionsBoundaryArn"]}
    groups = found.of_type("AWS::Logs::LogGroup")
    assert {group.properties["KmsKeyId"] for group in groups} == {CHANGED["DataKeyArn"]}
    assert found.resources["FailureQueue"].properties["KmsMasterKeyId"] == CHANGED["DataKeyArn"]
    assert template().resources["FailureQueue"].properties["SqsManagedSseEnabled"] is True


def test_existing_registry_is_read_and_not_created() -> None:
    found = template(TenantRegistry="existing", TenantTableName="our-tenants").resources
    assert "TenantTable" not in found
    policies = {one["PolicyName"]: one["PolicyDocument"] for one in found["BridgeRole"].properties["Policies"]}
    (statement,) = policies["tenants"]["Statement"]
    assert statement["Resource"].endswith(":table/our-tenants")


# ---- the queue ------------------------------------------------------------------------------------------------------


def with_queue(suffix: str) -> Options:
    """The shipped options with the queue of the template."""
    arn = "arn:aws:sqs:us-east-1:111122223333:orders"
    source = EventSource(f"{arn}{suffix}", "counter-isolated:live", quarantine=f"{arn}-quarantine{suffix}")
    return options()._replace(event_sources=(source,))


def test_queue_is_not_made_by_default() -> None:
    found = template().resources
    assert [one.id for one in template().of_type("AWS::SQS::Queue")] == ["FailureQueue"]
    assert not [name for name in found if name.startswith(("Queue", "Source", "DeadLetter", "Quarantine"))]
    assert template().of_type("AWS::Lambda::EventSourceMapping") == []


@pytest.mark.parametrize(("kind", "suffix", "batch"), [("standard", "", 10), ("fifo", ".fifo", 1)])
def test_queue_has_no_findings_and_the_right_names(kind: str, suffix: str, batch: int) -> None:
    parameters = {"Queue": kind, "DataKeyArn": CHANGED["DataKeyArn"]}
    assert template_findings(TEMPLATE, with_queue(suffix), parameters, REGION) == []
    found = template(**parameters).resources
    queues = [found[name].properties for name in ("SourceQueue", "DeadLetterQueue", "QuarantineQueue")]
    names = [f"{name}{suffix}" for name in ("orders", "orders-dead", "orders-quarantine")]
    assert [one["QueueName"] for one in queues] == names
    assert [one.get("FifoQueue") for one in queues] == [True if suffix else None] * 3
    assert {one["KmsMasterKeyId"] for one in queues} == {CHANGED["DataKeyArn"]}
    assert found["DeadLetterQueue"].properties["RedriveAllowPolicy"]["sourceQueueArns"] == [found["SourceQueue"].arn]
    assert found["QueueMapping"].properties["BatchSize"] == batch


def test_queue_without_an_event_source_is_an_error() -> None:
    """Its alarms would watch metrics that the bridge then does not write."""
    found = template_findings(TEMPLATE, options(), {"Queue": "standard"}, REGION)
    assert {one.level for one in found} == {"error"}
    assert [one.subject for one in found] == ["QueueMapping", "QuarantineAlarm", "SourceFailureAlarm"]


def test_longer_bridge_needs_a_longer_visibility_timeout() -> None:
    parameters = {"Queue": "standard", "BridgeTimeout": "40"}
    (found,) = template_findings(TEMPLATE, with_queue(""), parameters, REGION)
    assert (found.subject, found.fix) == ("SourceQueue", "write VisibilityTimeout: 240")


def test_bridge_may_do_no_more_with_the_queue_than_it_has_to() -> None:
    role = template(Queue="fifo").resources["BridgeRole"]
    (statements,) = [
        one["PolicyDocument"]["Statement"] for one in role.properties["Policies"] if one["PolicyName"] == "queue"
    ]
    assert [(one["Action"], one["Resource"].rpartition(":")[2]) for one in statements] == [
        (["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], "orders.fifo"),
        ("sqs:SendMessage", "orders-quarantine.fifo"),
    ]


def test_alarms_of_the_queue_watch_its_own_metrics() -> None:
    found = [
        one.properties for one in template(Queue="standard").of_type("AWS::CloudWatch::Alarm") if one not in alarms()
    ]
    watched = {
        (one["Namespace"], one["MetricName"], each["Name"], each["Value"])
        for one in found
        for each in one["Dimensions"]
    }
    assert watched == {
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "orders"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "orders"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "orders-dead"),
        ("LatticeBridge", "Quarantined", "Source", "orders"),
        ("LatticeBridge", "Failed", "Source", "orders"),
    }
    assert all(one["AlarmDescription"].count(". ") >= 1 for one in found)  # what it means, and what to do


# ---- the stream and the event bus -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [("Stream", "kinesis", "AWS::Kinesis::Stream"), ("Bus", "classic", "AWS::Events::EventBus")],
)
def test_stream_and_bus_are_made_only_if_they_are_wanted(option: str, value: str, kind: str) -> None:
    assert template().of_type(kind) == []
    added = set(template(**{option: value}).resources) - set(template().resources)
    assert {template(**{option: value}).resources[name].type for name in added} >= {"AWS::CloudWatch::Alarm", kind}
    assert all(option in name for name in added)


SOURCES: Final = {
    "Stream": ("kinesis", "arn:aws:kinesis:us-east-1:111122223333:stream/clicks", "clicks-quarantine"),
    "Bus": ("classic", "arn:aws:events:us-east-1:111122223333:event-bus/orders", "orders-bus-quarantine"),
    "Queue": ("fifo", "arn:aws:sqs:us-east-1:111122223333:orders.fifo", "orders-quarantine.fifo"),
}
"""Parameter → its value, the ARN of the source that it makes, and the name of the source's quarantine."""


@pytest.mark.parametrize("key", [{}, {"DataKeyArn": CHANGED["DataKeyArn"]}, CHANGED], ids=["own", "key", "changed"])
@pytest.mark.parametrize("names", [["Stream"], ["Bus"], list(SOURCES)], ids="+".join)
def test_stream_and_bus_have_no_findings(names: list[str], key: dict[str, str]) -> None:
    sources = [
        EventSource(arn, "counter-isolated:live", quarantine=f"arn:aws:sqs:us-east-1:111122223333:{quarantine}")
        for _, arn, quarantine in (SOURCES[name] for name in names)
    ]
    parameters = {name: SOURCES[name][0] for name in names} | key
    assert template_findings(TEMPLATE, options()._replace(event_sources=tuple(sources)), parameters, REGION) == []


def test_stream_and_bus_without_an_event_source_are_errors() -> None:
    """Trap E5: the bridge refuses what they send."""
    found = template_findings(TEMPLATE, options(), {"Stream": "kinesis", "Bus": "classic"}, REGION)
    assert {one.subject for one in found if one.level == "error"} >= {"BusPermission", "StreamMapping", "BusRule"}


def test_mapping_of_the_stream_ends_what_fails() -> None:
    """Trap E13, E22: without each of these, a record is lost, or it holds up its shard until it expires."""
    found = template(Stream="kinesis").resources
    mapping = found["StreamMapping"].properties
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (10, 86_400)
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == found["StreamFailureQueue"].arn
    assert mapping["MaximumRecordAgeInSeconds"] < found["SourceStream"].properties["RetentionPeriodHours"] * 3600


def test_events_that_fail_and_those_that_were_not_delivered_have_a_queue_each() -> None:
    """Trap E6: the rule's queue gets no event on which the bridge failed."""
    found = template(Bus="classic").resources
    (target,) = found["BusRule"].properties["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": found["BusDeadLetterQueue"].arn}
    assert target.keys() == {"Id", "Arn", "DeadLetterConfig"}
    failures = found["BusFailures"].properties
    assert failures["DestinationConfig"]["OnFailure"]["Destination"] == found["BusFailureQueue"].arn
    assert failures["Qualifier"] == "live"
    assert found["BusPermission"].properties["SourceArn"] == found["BusRule"].arn


@pytest.mark.parametrize(("option", "value"), [("Stream", "kinesis"), ("Bus", "classic")])
def test_queues_of_stream_and_bus_keep_what_a_person_has_to_read(option: str, value: str) -> None:
    found = template(**{option: value}, DataKeyArn=CHANGED["DataKeyArn"])
    queues = {one.id: one.properties for one in found.of_type("AWS::SQS::Queue") if one.id != "FailureQueue"}
    assert {one["MessageRetentionPeriod"] for one in queues.values()} == {1_209_600}
    keys = {name: one.get("KmsMasterKeyId") for name, one in queues.items()}
    assert keys.pop("BusDeadLetterQueue", None) is None  # EventBridge could not use the key
    assert set(keys.values()) == {CHANGED["DataKeyArn"]}


def test_bridge_may_do_no_more_with_stream_and_bus_than_it_has_to() -> None:
    role = template(Stream="kinesis", Bus="classic").resources["BridgeRole"]
    policies = {one["PolicyName"]: one["PolicyDocument"]["Statement"] for one in role.properties["Policies"]}
    reads, writes = policies["stream"]
    assert {action.partition(":")[0] for action in reads["Action"]} == {"kinesis"}
    assert not any(re.search("Put|Create|Delete|Update|Split|Merge", action) for action in reads["Action"])
    assert reads["Resource"].endswith(":stream/clicks")
    (sends,) = policies["bus"]
    assert {one["Action"] for one in (writes, sends)} == {"sqs:SendMessage"}
    assert [arn.rpartition(":")[2] for one in (writes, sends) for arn in one["Resource"]] == [
        *("clicks-quarantine", "clicks-failed", "orders-bus-quarantine", "orders-bus-failed")
    ]


def test_alarms_of_stream_and_bus_watch_their_own_metrics() -> None:
    found = template(Stream="kinesis", Bus="classic").of_type("AWS::CloudWatch::Alarm")
    own = [one.properties for one in found if one not in alarms()]
    watched = {
        (one["MetricName"], each["Value"])
        for one in own
        for each in one.get("Dimensions", ())
        if each["Name"] not in ("FunctionName", "Resource")
    }
    assert watched == {
        *((metric, source) for metric in ("Quarantined", "Failed") for source in ("stream/clicks", "event-bus/orders")),
        ("ApproximateNumberOfMessagesVisible", "clicks-failed"),
        ("ApproximateNumberOfMessagesVisible", "orders-bus-failed"),
        ("ApproximateNumberOfMessagesVisible", "orders-bus-dead"),
    }
    assert {one["MetricName"] for one in own if one.get("Namespace") == "AWS/Lambda"} == {"IteratorAge"}
    assert all(one["AlarmDescription"].count(". ") >= 1 for one in own)  # what it means, and what to do


def test_each_function_has_a_log_group_with_retention() -> None:
    groups = template().of_type("AWS::Logs::LogGroup")
    assert {group.properties["RetentionInDays"] for group in groups} == {30}
    functions = template().of_type("AWS::Lambda::Function")
    assert len({function.properties["LoggingConfig"]["LogGroup"] for function in functions}) == len(functions)


def test_no_two_functions_share_a_role() -> None:
    roles = [function.properties["Role"] for function in template().of_type("AWS::Lambda::Function")]
    assert len(set(roles)) == len(roles) == 4


# ---- alarms and dashboard -------------------------------------------------------------------------------------------


def metric_names(line: str) -> tuple[set[str], list[list[str]]]:
    (found,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
    return {metric["Name"] for metric in found["Metrics"]}, found["Dimensions"]


def written() -> dict[str, list[list[str]]]:
    """The metrics of the bridge and those counted in Lattice's access log, with their sets of dimensions."""
    request = lines(RequestLog(), LogContext("r", cold=False, map_sha256=None, now=0)).splitlines()[-1]
    look = reload_lines(None, None, None, 0).splitlines()[-1]
    pairs = (metric_names(request), metric_names(look))
    filters = template().of_type("AWS::Logs::MetricFilter")
    counted: dict[str, list[list[str]]] = {
        one["MetricName"]: [[]] for each in filters for one in each.properties["MetricTransformations"]
    }
    return {name: dimensions for names, dimensions in pairs for name in names} | counted


def metrics_of(alarm: Resource) -> Iterator[dict[str, Any]]:
    """The metrics that an alarm names one by one."""
    if "MetricName" in alarm.properties:
        yield dict(alarm.properties)
    yield from (one["MetricStat"]["Metric"] for one in alarm.properties.get("Metrics", ()) if "MetricStat" in one)


def queries() -> list[str]:
    """Metrics Insights queries of alarms and dashboard."""
    body = json.loads(template().resources["Dashboard"].properties["DashboardBody"])
    shown = [entry[0] for widget in body["widgets"] for entry in widget["properties"].get("metrics", ())]
    own = [one for alarm in alarms() for one in alarm.properties.get("Metrics", ())]
    return [one["expression"] for one in shown] + [one["Expression"] for one in own if "Expression" in one]


def test_alarms_watch_metrics_that_the_bridge_writes() -> None:
    metrics = [metric for alarm in alarms() for metric in metrics_of(alarm)]
    ours = [metric for metric in metrics if metric["Namespace"] == "LatticeBridge"]
    assert len(ours) >= 10
    for metric in ours:
        dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())}
        assert list(dimensions) in written()[metric["MetricName"]], metric
        assert dimensions.get("Reason", "internal") in REASONS
        assert dimensions.get("Backend", "none") in {"none", *(one.path for one in options().backends)}


def test_queries_name_metrics_dimensions_and_reasons_that_exist() -> None:
    found = [query for query in queries() if query.startswith("SELECT")]
    assert len(found) >= 6
    for query in found:
        match = re.match(r"SELECT SUM\((\w+)\) FROM SCHEMA\(LatticeBridge, ([\w, ]+)\)", query)
        assert match, query
        assert match[2].split(", ") in written()[match[1]], query
        assert set(re.findall(r"Reason !?= '(\w+)'", query)) <= {"ok", *REASONS}
        assert " OR " not in query  # Metrics Insights has AND alone


def test_rollback_alarm_counts_every_reason_that_an_operator_fixes() -> None:
    (query,) = [one["Expression"] for one in template().resources["BridgeFaultAlarm"].properties["Metrics"]]
    left_out = set(re.findall(r"Reason != '(\w+)'", query)) - {"ok"}
    assert left_out == {
        *("backend_raised", "backend_unreadable", "reply_too_large", "connection_lost", "backend_timeout"),
        *("no_time_left", "unreachable", "throttled", "keys_unavailable", "registry_unavailable"),
        "loop",  # a client can bring that about by a header
    }


def test_every_backend_has_a_latency_alarm() -> None:
    watched = {
        metric["Dimensions"][0]["Value"]
        for alarm in alarms()
        for metric in metrics_of(alarm)
        if metric["MetricName"] == "Latency"
    }
    assert watched == {backend.path for backend in options().backends}


def test_tenants_of_every_isolated_backend_are_counted() -> None:
    rule = json.loads(template().resources["TenantsRule"].properties["RuleBody"])
    filters = {one["Match"]: one for one in rule["Contribution"]["Filters"]}
    assert filters["$.backend"]["In"] == [one.path for one in options().backends if one.isolated]
    assert len(rule["Contribution"]["Filters"]) <= 4  # Contributor Insights takes no more


def test_dashboard_queries_name_fields_of_the_log() -> None:
    body = json.loads(template().resources["Dashboard"].properties["DashboardBody"])
    text = " ".join(widget["properties"].get("query", "") for widget in body["widgets"])
    steps = set(re.findall(r"milliseconds\.(\w+)", text))
    assert steps == {"parse", "decide", "encode", "invoke", "reply", "total"}
    assert "by tenant" in text


def test_metrics_alarms_and_dashboard_share_one_namespace() -> None:
    """A second stack's faults must not roll this one back."""
    found = template(**CHANGED)
    variables = found.resources["BridgeFunction"].properties["Environment"]["Variables"]
    assert variables["LATTICE_BRIDGE_METRICS_NAMESPACE"] == "Staging"
    assert "LatticeBridge" not in json.dumps([resource.properties for resource in found.resources.values()])
    assert found.resources["LatticeErrors"].properties["MetricTransformations"][0]["MetricNamespace"] == "Staging"


def test_alarms_notify_the_topic_if_given() -> None:
    for alarm in template(**CHANGED).of_type("AWS::CloudWatch::Alarm"):
        assert alarm.properties["AlarmActions"] == [CHANGED["AlarmTopicArn"]]
    assert not any("AlarmActions" in alarm.properties for alarm in alarms())
