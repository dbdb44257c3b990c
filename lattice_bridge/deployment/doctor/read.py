"""Reads from AWS: the calls, and the facts that their answers become.

Rule: only the operations in `READS` are called, and each of them only reads. If a call is denied or fails, or if its
answer has another shape than AWS documents, the fact is an `Unread`; if the thing does not exist, it is None.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from lattice_bridge.aws import code_of
from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.deployment.doctor.facts import (
    LATEST,
    Alias,
    Api,
    ApiAuthorizer,
    ApiMethod,
    AuthPolicy,
    DeployedFunction,
    Function,
    FunctionName,
    FunctionUrl,
    Listener,
    MapPrincipal,
    Read,
    ResourcePolicy,
    RolePolicies,
    Service,
    TargetGroup,
    Unread,
    known,
    target_name,
)
from lattice_bridge.deployment.iam.policy import BadPolicy, Statement, read_policy

READS: Final[Mapping[tuple[str, str], str]] = {
    ("lambda", "get_function_configuration"): "lambda:GetFunctionConfiguration",
    ("lambda", "get_function_event_invoke_config"): "lambda:GetFunctionEventInvokeConfig",
    ("lambda", "get_policy"): "lambda:GetPolicy",
    ("lambda", "list_aliases"): "lambda:ListAliases",
    ("lambda", "list_event_source_mappings"): "lambda:ListEventSourceMappings",
    ("lambda", "list_function_url_configs"): "lambda:ListFunctionUrlConfigs",
    ("lambda", "list_versions_by_function"): "lambda:ListVersionsByFunction",
    ("vpc-lattice", "get_auth_policy"): "vpc-lattice:GetAuthPolicy",
    ("vpc-lattice", "get_service"): "vpc-lattice:GetService",
    ("vpc-lattice", "get_target_group"): "vpc-lattice:GetTargetGroup",
    ("vpc-lattice", "list_listeners"): "vpc-lattice:ListListeners",
    ("vpc-lattice", "list_target_groups"): "vpc-lattice:ListTargetGroups",
    ("vpc-lattice", "list_targets"): "vpc-lattice:ListTargets",
    ("apigateway", "get_authorizers"): "apigateway:GET",
    ("apigateway", "get_resources"): "apigateway:GET",
    ("apigateway", "get_rest_api"): "apigateway:GET",
    ("apigatewayv2", "get_api"): "apigateway:GET",
    ("apigatewayv2", "get_authorizers"): "apigateway:GET",
    ("dynamodb", "describe_table"): "dynamodb:DescribeTable",
    ("dynamodb", "get_resource_policy"): "dynamodb:GetResourcePolicy",
    ("events", "describe_event_bus"): "events:DescribeEventBus",
    ("events", "describe_rule"): "events:DescribeRule",
    ("events", "list_rule_names_by_target"): "events:ListRuleNamesByTarget",
    ("events", "list_targets_by_rule"): "events:ListTargetsByRule",
    ("kinesis", "describe_stream_summary"): "kinesis:DescribeStreamSummary",
    ("kinesis", "get_resource_policy"): "kinesis:GetResourcePolicy",
    ("pipes", "describe_pipe"): "pipes:DescribePipe",
    ("pipes", "list_pipes"): "pipes:ListPipes",
    ("iam", "get_policy"): "iam:GetPolicy",
    ("iam", "get_policy_version"): "iam:GetPolicyVersion",
    ("iam", "get_role"): "iam:GetRole",
    ("iam", "get_role_policy"): "iam:GetRolePolicy",
    ("iam", "get_user"): "iam:GetUser",
    ("iam", "list_attached_role_policies"): "iam:ListAttachedRolePolicies",
    ("iam", "list_role_policies"): "iam:ListRolePolicies",
    ("s3", "list_objects_v2"): "s3:ListBucket",
    ("sqs", "get_queue_attributes"): "sqs:GetQueueAttributes",
    ("sqs", "get_queue_url"): "sqs:GetQueueUrl",
    ("ssm", "describe_parameters"): "ssm:DescribeParameters",
    ("sts", "get_caller_identity"): "sts:GetCallerIdentity",
}
"""(service, method of its boto3 client) → the permission that the call needs."""

PAGED: Final = frozenset(
    {
        *("list_aliases", "list_event_source_mappings", "list_function_url_configs", "list_versions_by_function"),
        *("list_listeners", "list_target_groups", "list_targets"),
        *("list_attached_role_policies", "list_role_policies", "describe_parameters"),
        *("get_authorizers", "get_resources", "list_pipes", "list_rule_names_by_target"),
        "list_targets_by_rule",
    }
)

ABSENT: Final = frozenset(
    {
        *("ResourceNotFoundException", "NotFoundException", "NoSuchEntity", "NoSuchBucket"),
        *("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "PolicyNotFoundException"),
    }
)

MOST_PAGES: Final = 200
"""Pages of one answer: twenty thousand target groups, ten thousand versions. A faulty server could send them for
ever."""

MOST_VERSIONS: Final = 50
"""Versions that nothing names whose policies are read: each takes one call."""

_UNEXPECTED: Final = (KeyError, TypeError, AttributeError, ValueError, IndexError)
"""The exceptions of parsing an answer of another shape than AWS documents."""

Answer = Mapping[str, Any]
T = TypeVar("T")


class TooManyPages(Exception):
    """An answer has more than MOST_PAGES pages."""


class Aws:
    """Read-only access to one account and Region. No call is made twice.

    Args:
        connect: gives boto3's client for a service, by its name.
    """

    def __init__(self, connect: Callable[[str], Any]) -> None:
        self._connect = connect
        self._clients: dict[str, Any] = {}
        self._answers: dict[str, Answer | Unread | None] = {}

    def call(self, service: str, method: str, resource: str, **arguments: Any) -> Answer | Unread | None:
        """Returns the answer with all its pages; None if there is no such thing.

        Args:
            service, method: one of `READS`.
            resource: the ARN that the permission is needed on.
            arguments: of the method.
        """
        permission = READS[service, method]
        key = repr((service, method, sorted(arguments.items())))
        if key not in self._answers:
            try:
                self._answers[key] = self._call(service, method, arguments)
            except Exception as error:  # botocore's errors have no common base, and none may end the run
                code = code_of(error)
                self._answers[key] = None if code in ABSENT else Unread(permission, resource, code)
        return self._answers[key]

    def read(
        self, parse: Callable[[Answer], T], service: str, method: str, resource: str, **arguments: Any
    ) -> Read[T | None]:
        """Returns the result of `parse` for the answer; `Unread` if the answer has an unexpected shape."""
        answer = self.call(service, method, resource, **arguments)
        if answer is None or isinstance(answer, Unread):
            return answer
        try:
            return parse(answer)
        except BadPolicy as error:
            return Unread(READS[service, method], resource, str(error))
        except _UNEXPECTED:
            return Unread(READS[service, method], resource, "unexpected answer")

    def _call(self, service: str, method: str, arguments: Mapping[str, Any]) -> Answer:
        if service not in self._clients:
            self._clients[service] = self._connect(service)
        client = self._clients[service]
        if method in PAGED:
            return _joined(client.get_paginator(method).paginate(**arguments))
        answer: Answer = getattr(client, method)(**arguments)
        return answer


def _joined(pages: Iterable[Answer]) -> Answer:
    """Joins the lists of all pages; of other members, the last page's value remains."""
    whole: dict[str, Any] = {}
    for number, page in enumerate(pages):
        if number == MOST_PAGES:
            raise TooManyPages
        for member, found in page.items():
            if isinstance(found, list):
                whole.setdefault(member, []).extend(found)
            else:
                whole[member] = found
    return whole


# ---- members of an answer -------------------------------------------------------------------------------------------


def items_of(answer: Answer, member: str, *, is_required: bool = False) -> list[Any]:
    """A list. Where botocore's model does not require it, AWS may leave it out."""
    found = answer[member] if is_required else answer.get(member, [])
    if not isinstance(found, list):
        raise TypeError(member)
    return found


def object_of(answer: Answer, member: str) -> Answer:
    """An object; empty if it is left out or null."""
    found = answer.get(member)
    if found is not None and not isinstance(found, Mapping):
        raise TypeError(member)
    return found or {}


def text_of(answer: Answer, member: str) -> str:
    """A required string."""
    found = answer[member]
    if not isinstance(found, str):
        raise TypeError(member)
    return found


def _texts(items: str, member: str, *, is_required: bool = False) -> Callable[[Answer], tuple[str, ...]]:
    """A parser of one string of each item."""
    return lambda answer: tuple(text_of(item, member) for item in items_of(answer, items, is_required=is_required))


def _moment(answer: Answer, member: str) -> datetime:
    """A required date with a time zone, as botocore parses dates."""
    found = answer[member]
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise TypeError(member)
    return found


# ---- Lambda ---------------------------------------------------------------------------------------------------------

_VERSION: Final = re.compile(r"[0-9]{1,18}")
_ROLE: Final = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/.+")


def _named(name: FunctionName) -> dict[str, str]:
    return {"FunctionName": name.arn, **({"Qualifier": name.qualifier} if name.qualifier else {})}


def read_function(aws: Aws, name: FunctionName) -> Read[Function | None]:
    """The configuration of a function under one name; None if there is no such function or qualifier."""
    return aws.read(_function, "lambda", "get_function_configuration", name.qualified, **_named(name))


def _function(answer: Answer) -> Function:
    logging = object_of(answer, "LoggingConfig")
    variables = object_of(object_of(answer, "Environment"), "Variables")
    role = text_of(answer, "Role")
    if not _ROLE.fullmatch(role):
        raise ValueError(role)
    modified = None
    with contextlib.suppress(ValueError):  # botocore leaves Lambda's dates as strings: 2026-11-01T10:00:00.000+0000
        modified = datetime.fromisoformat(str(answer.get("LastModified")))
    return Function(
        runtime=None if answer.get("Runtime") is None else text_of(answer, "Runtime"),
        handler=None if answer.get("Handler") is None else text_of(answer, "Handler"),
        role=role,
        timeout=int(answer.get("Timeout", 3)),
        log_format=str(logging.get("LogFormat") or "Text"),
        log_group=str(logging.get("LogGroup") or f"/aws/lambda/{answer.get('FunctionName')}"),
        modified=modified if modified and modified.tzinfo else None,
        isolated=object_of(answer, "TenancyConfig").get("TenantIsolationMode") == "PER_TENANT",
        state=str(answer.get("State") or "Active"),
        last_update=str(answer.get("LastUpdateStatus") or "Successful"),
        keeps_failures=bool(object_of(answer, "DeadLetterConfig").get("TargetArn")),
        variables={name: str(value) for name, value in variables.items() if name.startswith("LATTICE_BRIDGE_")},
    )


def read_aliases(aws: Aws, name: FunctionName) -> Read[tuple[Alias, ...]]:
    """All aliases of a function."""

    def parse(answer: Answer) -> tuple[Alias, ...]:
        return tuple(map(_alias, items_of(answer, "Aliases")))

    return aws.read(parse, "lambda", "list_aliases", name.arn, FunctionName=name.arn) or ()


def _alias(found: Answer) -> Alias:
    weights = object_of(object_of(found, "RoutingConfig"), "AdditionalVersionWeights")
    return Alias(
        text_of(found, "Name"),
        str(found.get("FunctionVersion", LATEST)),
        tuple((str(version), float(weight)) for version, weight in weights.items()),
    )


def read_policies(
    aws: Aws, name: FunctionName, aliases: Read[tuple[Alias, ...]], qualifiers: Iterable[str | None] = ()
) -> tuple[tuple[ResourcePolicy, ...], Read[int]]:
    """The resource policies of a function, and the number of its versions that were left out.

    Reads those of the bare name, of `qualifiers`, of each alias and the versions that it means, and of the
    MOST_VERSIONS newest other versions: a version that nothing uses can be invoked all the same.

    Args:
        qualifiers: more aliases and versions, which targets or operators name.
    """
    found = known(aliases)
    every = [None, *qualifiers, *(alias.name for alias in found), *(one for alias in found for one in alias.versions)]
    named = dict.fromkeys(None if one == LATEST else one for one in every)
    versions = aws.read(_versions, "lambda", "list_versions_by_function", name.arn, FunctionName=name.arn) or []
    rest = () if isinstance(versions, Unread) else [one for one in versions if one not in named]
    policies = (_policy(aws, FunctionName(name.arn, one)) for one in (*named, *rest[:MOST_VERSIONS]))
    return tuple(policies), versions if isinstance(versions, Unread) else max(0, len(rest) - MOST_VERSIONS)


def _versions(answer: Answer) -> list[str]:
    """The published versions, the newest first."""
    numbers = (text_of(found, "Version") for found in items_of(answer, "Versions"))
    return sorted((one for one in numbers if _VERSION.fullmatch(one)), key=int, reverse=True)


def _policy(aws: Aws, name: FunctionName) -> ResourcePolicy:
    def parse(answer: Answer) -> tuple[Statement, ...]:
        return read_policy(answer.get("Policy"))

    return ResourcePolicy(name, aws.read(parse, "lambda", "get_policy", name.qualified, **_named(name)) or ())


def read_urls(aws: Aws, name: FunctionName) -> Read[tuple[FunctionUrl, ...]]:
    """The function URLs of a function, under all of its names."""

    def parse(answer: Answer) -> tuple[FunctionUrl, ...]:
        found = items_of(answer, "FunctionUrlConfigs", is_required=True)
        return tuple(FunctionUrl(text_of(one, "FunctionArn"), text_of(one, "AuthType")) for one in found)

    return aws.read(parse, "lambda", "list_function_url_configs", name.arn, FunctionName=name.arn) or ()


def read_deployed_function(aws: Aws, name: FunctionName) -> DeployedFunction:
    """A function with its configuration, aliases, resource policies and function URLs."""
    aliases = read_aliases(aws, name)
    policies, left = read_policies(aws, name, aliases, [name.qualifier])
    return DeployedFunction(name, read_function(aws, name), aliases, policies, left, read_urls(aws, name))


def read_destination(aws: Aws, name: FunctionName) -> Read[str | None]:
    """Where Lambda sends asynchronous events of a function that failed; None for nowhere."""

    def parse(answer: Answer) -> str | None:
        found = object_of(object_of(answer, "DestinationConfig"), "OnFailure").get("Destination")
        return None if found is None else str(found)

    return aws.read(parse, "lambda", "get_function_event_invoke_config", name.qualified, **_named(name))


# ---- VPC Lattice ----------------------------------------------------------------------------------------------------

_GROUP: Final = re.compile(r"arn:[a-z0-9-]+:vpc-lattice:[a-z0-9-]+:[0-9]{12}:targetgroup/tg-[0-9a-z]{17}")


def read_groups(
    aws: Aws, bridge: FunctionName, policies: Iterable[ResourcePolicy]
) -> tuple[tuple[Read[TargetGroup], ...], Unread | None]:
    """The target groups that send to the bridge, and the first call that failed, if one did.

    If the targets of a group cannot be read, the group counts if a resource policy of the bridge names it. Groups of
    other accounts are not read: their targets are not part of this stack.
    """
    listing = aws.read(_texts("items", "arn"), "vpc-lattice", "list_target_groups", "*", targetGroupType="LAMBDA") or ()
    named = dict.fromkeys(arn for arn in _named_groups(policies) if arn.split(":")[4] == bridge.account)
    unread = listing if isinstance(listing, Unread) else None
    found: dict[str, Read[tuple[str, ...]]] = {}
    for arn in dict.fromkeys((*known(listing), *named)):
        targets = _targets(aws, arn)
        if isinstance(targets, Unread):
            if arn in named:
                found[arn] = targets
            unread = unread or (None if arn in named else targets)
        elif any(target_name(target, bridge) for target in targets):
            found[arn] = targets
    groups = (_group(aws, arn, targets) for arn, targets in found.items())
    return tuple(group for group in groups if group is not None), unread


def _named_groups(policies: Iterable[ResourcePolicy]) -> Iterator[str]:
    for policy in policies:
        for statement in known(policy.statements):
            sources = statement.values("aws:sourcearn") or ()
            yield from (source.text for source in sources if _GROUP.fullmatch(source.text))


def _targets(aws: Aws, arn: str) -> Read[tuple[str, ...]]:
    parse = _texts("items", "id", is_required=True)
    return aws.read(parse, "vpc-lattice", "list_targets", arn, targetGroupIdentifier=arn) or ()


def _group(aws: Aws, arn: str, targets: Read[tuple[str, ...]]) -> Read[TargetGroup | None]:
    def parse(answer: Answer) -> TargetGroup:
        version = object_of(answer, "config").get("lambdaEventStructureVersion")
        return TargetGroup(
            arn,
            str(answer.get("name", arn.rpartition("/")[2])),
            None if version is None else str(version),
            str(answer.get("status", "ACTIVE")),
            targets,
            tuple(map(str, items_of(answer, "serviceArns"))),
        )

    return aws.read(parse, "vpc-lattice", "get_target_group", arn, targetGroupIdentifier=arn)


def read_service(aws: Aws, identifier: str) -> Read[Service | None]:
    """A service by its ARN or id, with its auth policy and listeners; None if there is no such service."""

    def parse(answer: Answer) -> Service:
        arn = str(answer.get("arn", identifier))
        return Service(
            arn,
            str(answer.get("name", identifier)),
            str(answer.get("authType", "NONE")),
            _auth_policy(aws, identifier, arn),
            aws.read(_listeners, "vpc-lattice", "list_listeners", arn, serviceIdentifier=identifier) or (),
        )

    return aws.read(parse, "vpc-lattice", "get_service", identifier, serviceIdentifier=identifier)


def _auth_policy(aws: Aws, identifier: str, arn: str) -> Read[AuthPolicy | None]:
    def parse(answer: Answer) -> AuthPolicy | None:
        if answer.get("policy") in (None, ""):  # how AWS answers for a service without one
            return None
        return AuthPolicy(str(answer.get("state", "Active")), read_policy(answer["policy"]))

    return aws.read(parse, "vpc-lattice", "get_auth_policy", arn, resourceIdentifier=identifier)


def _listeners(answer: Answer) -> tuple[Listener, ...]:
    found = items_of(answer, "items", is_required=True)
    return tuple(Listener(text_of(one, "protocol"), int(one["port"])) for one in found)


# ---- IAM ------------------------------------------------------------------------------------------------------------


def read_role(aws: Aws, role: str, account: str) -> Read[RolePolicies | None]:
    """The policies of a role: inline, attached, permissions boundary and trust. None if there is no such role.

    Args:
        role: its ARN.
        account: of the credentials. IAM takes a name only, and would answer for the role of that name in this account.
    """
    if f"::{account}:" not in role:
        return Unread("iam:GetRole", role, "of another account", out_of_reach=True)
    name = role.rpartition("/")[2]

    def boundary_arn(answer: Answer) -> str:
        boundary = object_of(answer["Role"], "PermissionsBoundary")
        return text_of(boundary, "PermissionsBoundaryArn") if boundary else ""

    def trust_policy(answer: Answer) -> tuple[Statement, ...]:
        return read_policy(answer["Role"].get("AssumeRolePolicyDocument"))

    boundary = aws.read(boundary_arn, "iam", "get_role", role, RoleName=name)
    if boundary is None or isinstance(boundary, Unread):
        return boundary
    return RolePolicies(
        _role_statements(aws, role, name),
        _managed_policy(aws, boundary) if boundary else None,
        aws.read(trust_policy, "iam", "get_role", role, RoleName=name) or (),
    )


def _role_statements(aws: Aws, role: str, name: str) -> Read[tuple[Statement, ...]]:
    """The statements of all inline and attached policies; the first `Unread` if one of them could not be read."""

    def inline_names(answer: Answer) -> list[str]:
        return [str(policy) for policy in items_of(answer, "PolicyNames", is_required=True)]

    inline = aws.read(inline_names, "iam", "list_role_policies", role, RoleName=name) or []
    if isinstance(inline, Unread):
        return inline
    parse = _texts("AttachedPolicies", "PolicyArn")
    attached = aws.read(parse, "iam", "list_attached_role_policies", role, RoleName=name) or ()
    if isinstance(attached, Unread):
        return attached
    statements: list[Statement] = []
    for part in (
        *(_inline_policy(aws, role, name, one) for one in inline),
        *(_managed_policy(aws, arn) for arn in attached),
    ):
        if isinstance(part, Unread):
            return part
        statements += part
    return tuple(statements)


def _inline_policy(aws: Aws, role: str, name: str, policy: str) -> Read[tuple[Statement, ...]]:
    def parse(answer: Answer) -> tuple[Statement, ...]:
        return read_policy(answer["PolicyDocument"])

    found = aws.read(parse, "iam", "get_role_policy", role, RoleName=name, PolicyName=policy)
    return Unread("iam:GetRolePolicy", role, "does not exist") if found is None else found


def _managed_policy(aws: Aws, arn: str) -> Read[tuple[Statement, ...]]:
    def version_id(answer: Answer) -> str:
        return text_of(answer["Policy"], "DefaultVersionId")

    def parse(answer: Answer) -> tuple[Statement, ...]:
        return read_policy(answer["PolicyVersion"]["Document"])

    version = aws.read(version_id, "iam", "get_policy", arn, PolicyArn=arn)
    if version is None or isinstance(version, Unread):
        return version or Unread("iam:GetPolicy", arn, "does not exist")
    found = aws.read(parse, "iam", "get_policy_version", arn, PolicyArn=arn, VersionId=version)
    return Unread("iam:GetPolicyVersion", arn, "does not exist") if found is None else found


def read_created(aws: Aws, principal: MapPrincipal) -> Read[datetime | None]:
    """When a role or user was created; None if it does not exist."""
    kind = principal.kind.title()
    arguments = {f"{kind}Name": principal.name}
    return aws.read(
        lambda answer: _moment(answer[kind], "CreateDate"), "iam", f"get_{principal.kind}", principal.arn, **arguments
    )


# ---- the place of the map -------------------------------------------------------------------------------------------


def read_map_modified(aws: Aws, function: Read[Function | None]) -> Read[datetime | None]:
    """When the place of the map was last changed: an object in S3, a parameter of SSM, or the function that the map is
    packaged with. None if the object or parameter does not exist, or if AWS does not say when."""
    if function is None or isinstance(function, Unread):
        return None  # the finding about the function says it
    place = function.variables.get(CONFIG_VARIABLE, "")
    if place.startswith("s3://"):
        bucket, _, key = place.removeprefix("s3://").partition("/")
        arn = f"arn:{function.role.split(':')[1]}:s3:::{bucket}"  # a bucket's partition is the function's
        arguments = {"Bucket": bucket, "Prefix": key, "MaxKeys": 1}
        return aws.read(_date_in("Contents", "Key", key, "LastModified"), "s3", "list_objects_v2", arn, **arguments)
    if place.startswith("ssm:"):
        name = place.removeprefix("ssm:")
        filters = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
        parse = _date_in("Parameters", "Name", name, "LastModifiedDate")
        return aws.read(parse, "ssm", "describe_parameters", "*", ParameterFilters=filters)
    return function.modified


def _date_in(items: str, key: str, name: str, date: str) -> Callable[[Answer], datetime | None]:
    """A parser of the date of the item with that name."""

    def parse(answer: Answer) -> datetime | None:
        found = next((one for one in items_of(answer, items) if one.get(key) == name), None)
        return None if found is None else _moment(found, date)

    return parse


# ---- API Gateway ----------------------------------------------------------------------------------------------------

_URI: Final = re.compile(r".*/functions/(?P<arn>arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[^/]+)/invocations")
_TENANT: Final = "integration.request.header.x-amz-tenant-id"
DEFAULT_TTL: Final = 300
"""Seconds that a REST API caches answers if its authorizer does not say."""


def read_api(aws: Aws, api: str, bridge: FunctionName) -> Api:
    """An API in the bridge's account and Region: a REST API if there is one with this id, or else an HTTP API."""
    arn = f"arn:{bridge.partition}:apigateway:{bridge.region}::/restapis/{api}"

    def rest(answer: Answer) -> tuple[ApiAuthorizer, ...]:
        found = [one for one in items_of(answer, "items") if one.get("type") in ("TOKEN", "REQUEST")]
        return tuple(_rest_authorizer(aws, one, bridge) for one in found)

    def http(answer: Answer) -> tuple[ApiAuthorizer, ...]:
        found = [one for one in items_of(answer, "Items") if one.get("AuthorizerType") == "REQUEST"]
        return tuple(_http_authorizer(aws, one, bridge) for one in found)

    authorizers = aws.read(rest, "apigateway", "get_authorizers", f"{arn}/authorizers", restApiId=api)
    if authorizers is not None:
        resources = {"restApiId": api, "embed": ["methods"]}
        methods = aws.read(_methods, "apigateway", "get_resources", f"{arn}/resources", **resources)
        endpoint = aws.read(_endpoint, "apigateway", "get_rest_api", arn, restApiId=api)
        is_private, has_default = (True, False) if endpoint is None or isinstance(endpoint, Unread) else endpoint
        return Api(api, "REST", authorizers, methods or (), is_private, has_default)
    arn = arn.replace("/restapis/", "/apis/")
    authorizers = aws.read(http, "apigatewayv2", "get_authorizers", f"{arn}/authorizers", ApiId=api)
    if authorizers is None:
        return Api(api, None)
    is_disabled = aws.read(_is_disabled, "apigatewayv2", "get_api", arn, ApiId=api)
    return Api(api, "HTTP", authorizers, has_default_endpoint=is_disabled is False)


def _rest_authorizer(aws: Aws, found: Answer, bridge: FunctionName) -> ApiAuthorizer:
    ttl = found.get("authorizerResultTtlInSeconds", DEFAULT_TTL)
    sources = tuple(one.strip() for one in str(found.get("identitySource") or "").split(",") if one.strip())
    function = _invoked(aws, found.get("authorizerUri"), bridge)
    return ApiAuthorizer(text_of(found, "name"), function, found["type"] == "TOKEN", int(ttl), sources)


def _http_authorizer(aws: Aws, found: Answer, bridge: FunctionName) -> ApiAuthorizer:
    ttl, sources = found.get("AuthorizerResultTtlInSeconds", 0), tuple(map(str, items_of(found, "IdentitySource")))
    function, simple = _invoked(aws, found.get("AuthorizerUri"), bridge), found.get("EnableSimpleResponses") is True
    return ApiAuthorizer(text_of(found, "Name"), function, is_token=False, ttl=int(ttl), sources=sources, simple=simple)


def _invoked(aws: Aws, uri: object, bridge: FunctionName) -> Read[Function | None]:
    """The function in the URI of an authorizer; None if it names none."""
    match = _URI.fullmatch(uri) if isinstance(uri, str) else None
    name = FunctionName.parse(match["arn"], bridge.partition, bridge.region, bridge.account) if match else None
    if name is None:
        return None
    if (name.region, name.account) != (bridge.region, bridge.account):
        cause = "it is in another account or Region"
        return Unread("lambda:GetFunctionConfiguration", name.qualified, cause, out_of_reach=True)
    return read_function(aws, name)


def _endpoint(answer: Answer) -> tuple[bool, bool]:
    """Whether a REST API is private, and whether it has a default endpoint that others can use."""
    is_private = "PRIVATE" in items_of(object_of(answer, "endpointConfiguration"), "types", is_required=True)
    return is_private, not is_private and answer.get("disableExecuteApiEndpoint") is not True


def _is_disabled(answer: Answer) -> bool:
    return answer.get("DisableExecuteApiEndpoint") is True


def _methods(answer: Answer) -> tuple[ApiMethod, ...]:
    found = []
    for resource in items_of(answer, "items"):
        for verb, method in object_of(resource, "resourceMethods").items():
            integration = object_of(method, "methodIntegration")
            mapping = {str(key).lower(): str(one) for key, one in object_of(integration, "requestParameters").items()}
            found.append(
                ApiMethod(
                    f"{verb} {text_of(resource, 'path')}",
                    str(integration.get("type")),
                    str(integration.get("uri")),
                    mapping.get(_TENANT),
                    method.get("authorizationType", "NONE") == "NONE",
                )
            )
    return tuple(found)
