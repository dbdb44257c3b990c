"""The names, ids, ARNs and addresses that a deployment would give to resources, each in the shape that AWS documents.

Rule: an identifier is made from the logical id, so that it stays the same, and has the parts of a real one: functions
take the name out of an ARN, and the pool out of an issuer.

Sources: "Return values" of each type in the CloudFormation reference, and the service authorization reference.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

_SMALL: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a type's identifiers are made.

    Each part is a format of: `name`, `id`, `arn`, `region`, `account`, `here` (`REGION:ACCOUNT`), `suffix` (the domain
    of AWS), and hashes of the logical id: `small10`, `small26`, `small32`, `hex8`, `hex16`, `hex17`, `uuid`, `digits`.

    Attributes:
        name: the property that names the resource; empty if its name is always made.
        arn: after `arn:PARTITION:`.
        ref: the value of `!Ref`.
        id: what AWS generates.
        attributes: values of `!GetAtt`, beside `Arn`.
    """

    name: str = ""
    arn: str = "local:{here}:{name}"
    ref: str = "{name}"
    id: str = "{small10}"
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def ref_is_arn(self) -> bool:
        """Whether `!Ref` gives the ARN."""
        return self.ref == "{arn}"


def _lattice(path: str, prefix: str, **attributes: str) -> Shape:
    of_id = {"Id": "{id}", **attributes}
    return Shape(arn=f"vpc-lattice:{{here}}:{path}/{{id}}", ref="{arn}", id=f"{prefix}-{{hex17}}", attributes=of_id)


def _vpc(kind: str, prefix: str, attribute: str, **more: str) -> Shape:
    return Shape(
        arn=f"ec2:{{here}}:{kind}/{{id}}",
        ref="{id}",
        id=f"{prefix}-{{hex17}}",
        attributes={attribute: "{id}", "Id": "{id}", **more},
    )


_REST_API: Final = Shape(
    arn="apigateway:{region}::/restapis/{id}",
    ref="{id}",
    attributes={"RootResourceId": "{small10_root}", "RestApiId": "{id}"},
)
_HTTP_API: Final = Shape(
    arn="apigateway:{region}::/apis/{id}",
    ref="{id}",
    attributes={"ApiEndpoint": "https://{id}.execute-api.{region}.{suffix}", "ApiId": "{id}"},
)
_WEB_SOCKET_API: Final = Shape(
    arn=_HTTP_API.arn, ref="{id}", attributes={"ApiEndpoint": "wss://{id}.execute-api.{region}.{suffix}"}
)
_TABLE: Final = Shape(
    "TableName",
    "dynamodb:{here}:table/{name}",
    id="{uuid}",
    attributes={"StreamArn": "{arn}/stream/2015-06-27T00:48:05.899", "TableId": "{uuid}"},
)
_MACHINE: Final = Shape("StateMachineName", "states:{here}:stateMachine:{name}", "{arn}", attributes={"Name": "{name}"})
_LAYER: Final = Shape(
    "LayerName", "lambda:{here}:layer:{name}:1", "{arn}", attributes={"LayerVersionArn": "{arn}", "Ref": "{arn}"}
)
_DATABASE: Final = {"Endpoint.Address": "{name}.{small10}.{region}.rds.{suffix}", "Endpoint.Port": "5432"}

SHAPES: Final[Mapping[str, Shape]] = {
    "AWS::ApiGateway::ApiKey": Shape(ref="{id}", attributes={"APIKeyId": "{id}"}),
    "AWS::ApiGateway::Authorizer": Shape(ref="{id}", attributes={"AuthorizerId": "{id}"}),
    "AWS::ApiGateway::BasePathMapping": Shape(),
    "AWS::ApiGateway::Deployment": Shape(ref="{id}", attributes={"DeploymentId": "{id}"}),
    "AWS::ApiGateway::DomainName": Shape(
        "DomainName",
        "apigateway:{region}::/domainnames/{name}",
        attributes={
            "DistributionDomainName": "d{small10}.cloudfront.net",
            "DistributionHostedZoneId": "Z2FDTNDATAQYW2",
            "RegionalDomainName": "d-{small10}.execute-api.{region}.{suffix}",
            "RegionalHostedZoneId": "Z1UJRXOUMOOFQ8",
        },
    ),
    "AWS::ApiGateway::Model": Shape("Name"),
    "AWS::ApiGateway::RequestValidator": Shape(ref="{id}", attributes={"RequestValidatorId": "{id}"}),
    "AWS::ApiGateway::Resource": Shape(ref="{id}", attributes={"ResourceId": "{id}"}),
    "AWS::ApiGateway::RestApi": _REST_API,
    "AWS::ApiGateway::Stage": Shape("StageName"),
    "AWS::ApiGateway::UsagePlan": Shape(ref="{id}", attributes={"Id": "{id}"}),
    "AWS::ApiGateway::VpcLink": Shape(ref="{id}", attributes={"VpcLinkId": "{id}"}),
    "AWS::ApiGatewayV2::Api": _HTTP_API,
    "AWS::ApiGatewayV2::Authorizer": Shape(ref="{id}", attributes={"AuthorizerId": "{id}"}),
    "AWS::ApiGatewayV2::Deployment": Shape(ref="{id}", attributes={"DeploymentId": "{id}"}),
    "AWS::ApiGatewayV2::DomainName": Shape(
        "DomainName",
        "apigateway:{region}::/domainnames/{name}",
        attributes={
            "RegionalDomainName": "d-{small10}.execute-api.{region}.{suffix}",
            "RegionalHostedZoneId": "Z1UJRXOUMOOFQ8",
        },
    ),
    "AWS::ApiGatewayV2::Integration": Shape(ref="{id}", attributes={"IntegrationId": "{id}"}),
    "AWS::ApiGatewayV2::Route": Shape(ref="{id}", attributes={"RouteId": "{id}"}),
    "AWS::ApiGatewayV2::Stage": Shape("StageName"),
    "AWS::ApiGatewayV2::VpcLink": Shape(ref="{id}", attributes={"VpcLinkId": "{id}"}),
    "AWS::AppSync::GraphQLApi": Shape(
        arn="appsync:{here}:apis/{id}",
        ref="{arn}",
        id="{small26}",
        attributes={
            "ApiId": "{id}",
            "GraphQLDns": "{id}.appsync-api.{region}.{suffix}",
            "GraphQLUrl": "https://{id}.appsync-api.{region}.{suffix}/graphql",
        },
    ),
    "AWS::Batch::JobDefinition": Shape("JobDefinitionName", "batch:{here}:job-definition/{name}:1", "{arn}"),
    "AWS::Batch::JobQueue": Shape("JobQueueName", "batch:{here}:job-queue/{name}", "{arn}"),
    "AWS::CertificateManager::Certificate": Shape(arn="acm:{here}:certificate/{id}", ref="{arn}", id="{uuid}"),
    "AWS::CloudFront::Distribution": Shape(
        arn="cloudfront::{account}:distribution/{id}",
        ref="{id}",
        id="E{HEX16}",
        attributes={"DomainName": "d{small10}.cloudfront.net", "Id": "{id}"},
    ),
    "AWS::Cognito::IdentityPool": Shape(
        arn="cognito-identity:{here}:identitypool/{id}", ref="{id}", id="{region}:{uuid}", attributes={"Id": "{id}"}
    ),
    "AWS::Cognito::UserPool": Shape(
        arn="cognito-idp:{here}:userpool/{id}",
        ref="{id}",
        id="{region}_{small9}",
        attributes={
            "ProviderName": "cognito-idp.{region}.{suffix}/{id}",
            "ProviderURL": "https://cognito-idp.{region}.{suffix}/{id}",
            "UserPoolId": "{id}",
        },
    ),
    "AWS::Cognito::UserPoolClient": Shape(
        ref="{id}", id="{small26}", attributes={"ClientId": "{id}", "ClientSecret": "{small32}"}
    ),
    "AWS::Cognito::UserPoolDomain": Shape("Domain"),
    "AWS::DynamoDB::GlobalTable": _TABLE,
    "AWS::DynamoDB::Table": _TABLE,
    "AWS::EC2::EIP": Shape(
        arn="ec2:{here}:elastic-ip/{id}",
        ref="192.0.2.1",
        id="eipalloc-{hex17}",
        attributes={"AllocationId": "{id}", "PublicIp": "192.0.2.1"},
    ),
    "AWS::EC2::Instance": _vpc("instance", "i", "InstanceId", PrivateIp="192.0.2.1", PublicIp="192.0.2.2"),
    "AWS::EC2::InternetGateway": _vpc("internet-gateway", "igw", "InternetGatewayId"),
    "AWS::EC2::NatGateway": _vpc("natgateway", "nat", "NatGatewayId"),
    "AWS::EC2::RouteTable": _vpc("route-table", "rtb", "RouteTableId"),
    "AWS::EC2::SecurityGroup": _vpc("security-group", "sg", "GroupId"),
    "AWS::EC2::Subnet": _vpc("subnet", "subnet", "SubnetId", AvailabilityZone="{region}a"),
    "AWS::EC2::VPC": _vpc("vpc", "vpc", "VpcId", CidrBlock="10.0.0.0/16", DefaultSecurityGroup="sg-{hex17}"),
    "AWS::EC2::VPCEndpoint": _vpc("vpc-endpoint", "vpce", "Id"),
    "AWS::ECR::Repository": Shape(
        "RepositoryName",
        "ecr:{here}:repository/{name}",
        attributes={"RepositoryUri": "{account}.dkr.ecr.{region}.{suffix}/{name}"},
    ),
    "AWS::ECS::Cluster": Shape("ClusterName", "ecs:{here}:cluster/{name}"),
    "AWS::ECS::Service": Shape("ServiceName", "ecs:{here}:service/{name}", "{arn}", attributes={"Name": "{name}"}),
    "AWS::ECS::TaskDefinition": Shape(
        "Family", "ecs:{here}:task-definition/{name}:1", "{arn}", attributes={"TaskDefinitionArn": "{arn}"}
    ),
    "AWS::ElasticLoadBalancingV2::Listener": Shape(
        arn="elasticloadbalancing:{here}:listener/app/{name}/{hex16}/{hex16}",
        ref="{arn}",
        attributes={"ListenerArn": "{arn}"},
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": Shape(
        arn="elasticloadbalancing:{here}:listener-rule/app/{name}/{hex16}/{hex16}/{hex16}",
        ref="{arn}",
        attributes={"RuleArn": "{arn}"},
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Shape(
        "Name",
        "elasticloadbalancing:{here}:loadbalancer/app/{name}/{hex16}",
        "{arn}",
        attributes={
            "CanonicalHostedZoneID": "Z35SXDOTRQ7X7K",
            "DNSName": "{name}-{digits}.{region}.elb.{suffix}",
            "LoadBalancerArn": "{arn}",
            "LoadBalancerFullName": "app/{name}/{hex16}",
            "LoadBalancerName": "{name}",
        },
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": Shape(
        "Name",
        "elasticloadbalancing:{here}:targetgroup/{name}/{hex16}",
        "{arn}",
        attributes={
            "TargetGroupArn": "{arn}",
            "TargetGroupFullName": "targetgroup/{name}/{hex16}",
            "TargetGroupName": "{name}",
        },
    ),
    "AWS::Events::Connection": Shape("Name", "events:{here}:connection/{name}/{uuid}"),
    "AWS::Events::EventBus": Shape("Name", "events:{here}:event-bus/{name}", attributes={"Name": "{name}"}),
    "AWS::Events::Rule": Shape("Name", "events:{here}:rule/{name}"),
    "AWS::IAM::InstanceProfile": Shape("InstanceProfileName", "iam::{account}:instance-profile/{name}"),
    "AWS::IAM::ManagedPolicy": Shape(
        "ManagedPolicyName", "iam::{account}:policy/{name}", "{arn}", attributes={"PolicyArn": "{arn}"}
    ),
    "AWS::IAM::Role": Shape("RoleName", "iam::{account}:role/{name}", attributes={"RoleId": "AROA{HEX16}"}),
    "AWS::IAM::User": Shape("UserName", "iam::{account}:user/{name}"),
    "AWS::IoT::Thing": Shape("ThingName", "iot:{here}:thing/{name}"),
    "AWS::KMS::Alias": Shape("AliasName", "kms:{here}:{name}"),
    "AWS::KMS::Key": Shape(arn="kms:{here}:key/{id}", ref="{id}", id="{uuid}", attributes={"KeyId": "{id}"}),
    "AWS::Kinesis::Stream": Shape("Name", "kinesis:{here}:stream/{name}"),
    "AWS::KinesisFirehose::DeliveryStream": Shape("DeliveryStreamName", "firehose:{here}:deliverystream/{name}"),
    "AWS::Lambda::CodeSigningConfig": Shape(arn="lambda:{here}:code-signing-config:csc-{hex17}", ref="{arn}"),
    "AWS::Lambda::EventSourceMapping": Shape(
        arn="lambda:{here}:event-source-mapping:{id}", ref="{id}", id="{uuid}", attributes={"Id": "{id}"}
    ),
    "AWS::Lambda::LayerVersion": _LAYER,
    "AWS::Lambda::Url": Shape(id="{small32}", attributes={"FunctionUrl": "https://{id}.lambda-url.{region}.on.aws/"}),
    "AWS::Logs::LogGroup": Shape("LogGroupName", "logs:{here}:log-group:{name}:*"),
    "AWS::OpenSearchService::Domain": Shape(
        "DomainName",
        "es:{here}:domain/{name}",
        attributes={"DomainEndpoint": "search-{name}-{small26}.{region}.es.{suffix}"},
    ),
    "AWS::Pipes::Pipe": Shape("Name", "pipes:{here}:pipe/{name}"),
    "AWS::RDS::DBCluster": Shape("DBClusterIdentifier", "rds:{here}:cluster:{name}", attributes=_DATABASE),
    "AWS::RDS::DBInstance": Shape("DBInstanceIdentifier", "rds:{here}:db:{name}", attributes=_DATABASE),
    "AWS::RDS::DBProxy": Shape(
        "DBProxyName",
        "rds:{here}:db-proxy:prx-{hex17}",
        attributes={"DBProxyArn": "{arn}", "Endpoint": "{name}.proxy-{small10}.{region}.rds.{suffix}"},
    ),
    "AWS::S3::Bucket": Shape(
        "BucketName",
        "s3:::{name}",
        attributes={
            "DomainName": "{name}.s3.{suffix}",
            "DualStackDomainName": "{name}.s3.dualstack.{region}.{suffix}",
            "RegionalDomainName": "{name}.s3.{region}.{suffix}",
            "WebsiteURL": "http://{name}.s3-website-{region}.{suffix}",
        },
    ),
    "AWS::SNS::Subscription": Shape(arn="sns:{here}:{name}:{uuid}", ref="{arn}"),
    "AWS::SNS::Topic": Shape(
        "TopicName", "sns:{here}:{name}", "{arn}", attributes={"TopicArn": "{arn}", "TopicName": "{name}"}
    ),
    "AWS::SQS::Queue": Shape(
        "QueueName",
        "sqs:{here}:{name}",
        "https://sqs.{region}.{suffix}/{account}/{name}",
        attributes={"QueueName": "{name}", "QueueUrl": "https://sqs.{region}.{suffix}/{account}/{name}"},
    ),
    "AWS::SSM::Parameter": Shape("Name", "ssm:{here}:parameter/{name}"),
    "AWS::Scheduler::Schedule": Shape("Name", "scheduler:{here}:schedule/default/{name}"),
    "AWS::Scheduler::ScheduleGroup": Shape("Name", "scheduler:{here}:schedule-group/{name}"),
    "AWS::SecretsManager::Secret": Shape(
        "Name", "secretsmanager:{here}:secret:{name}-{hex6}", "{arn}", attributes={"Id": "{arn}"}
    ),
    "AWS::Serverless::Api": _REST_API,
    "AWS::Serverless::HttpApi": _HTTP_API,
    "AWS::Serverless::LayerVersion": _LAYER,
    "AWS::Serverless::SimpleTable": _TABLE,
    "AWS::Serverless::StateMachine": Shape("Name", _MACHINE.arn, "{arn}", attributes=_MACHINE.attributes),
    "AWS::ServiceDiscovery::PrivateDnsNamespace": Shape(ref="{id}", id="ns-{small16}", attributes={"Id": "{id}"}),
    "AWS::StepFunctions::Activity": Shape("Name", "states:{here}:activity:{name}", "{arn}"),
    "AWS::StepFunctions::StateMachine": _MACHINE,
    "AWS::VpcLattice::Listener": _lattice("listener", "listener"),
    "AWS::VpcLattice::Rule": _lattice("rule", "rule"),
    "AWS::VpcLattice::Service": _lattice(
        "service", "svc", **{"DnsEntry.DomainName": "{name}-{hex17}.7d67968.vpc-lattice-svcs.{region}.on.aws"}
    ),
    "AWS::VpcLattice::ServiceNetwork": _lattice("servicenetwork", "sn"),
    "AWS::VpcLattice::TargetGroup": _lattice("targetgroup", "tg"),
}
"""Type → its identifiers. The name of a resource of another type is its logical id."""

_OTHER: Final = Shape()
_WEB_SOCKETS: Final = "WEBSOCKET"


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The identifiers of one resource.

    Attributes:
        ref: the value of `!Ref`.
        arn: the value of `!GetAtt X.Arn`.
        attributes: other values of `!GetAtt`, as far as they are known.
    """

    ref: str
    arn: str
    attributes: Mapping[str, str]


def shape_of(kind: str, protocol: object = None) -> Shape:
    """The shape of a type's identifiers.

    Args:
        kind: the type.
        protocol: of an API, as its property `ProtocolType`.
    """
    return _WEB_SOCKET_API if protocol == _WEB_SOCKETS else SHAPES.get(kind, _OTHER)


def identifiers(
    shape: Shape, logical_id: str, name: str, scope: Mapping[str, str], given: str | None = None
) -> Identifiers:
    """Makes the identifiers of a resource.

    Args:
        shape: of its type.
        logical_id: what its hashes are made from.
        name: what names it.
        scope: `partition`, `region`, `account` and `suffix`.
        given: the id or the ARN of the deployed resource; None to make one.
    """
    values = {**scope, "here": f"{scope['region']}:{scope['account']}", "name": name, **_hashes(logical_id)}
    is_arn = given is not None and given.startswith("arn:")
    values["id"] = shape.id.format(**values) if given is None else re.split("[:/]", given)[-1] if is_arn else given
    if is_arn and shape.arn.endswith("{name}"):  # a queue's URL has the parts of its ARN
        values |= {"name": values["id"], **_place_of(str(given))}
    values["arn"] = given if given and is_arn else f"arn:{scope['partition']}:{shape.arn.format(**values)}"
    attributes = {attribute: written.format(**values) for attribute, written in shape.attributes.items()}
    return Identifiers(shape.ref.format(**values), values["arn"], attributes)


def _place_of(arn: str) -> dict[str, str]:
    """The region and the account of an ARN. That of a bucket has neither."""
    region, account = arn.split(":")[3:5]
    return {name: value for name, value in (("region", region), ("account", account)) if value}


def bucket_name(logical_id: str) -> str:
    """A name that S3 accepts: lower-case letters, digits and hyphens, 3 to 63."""
    return re.sub(r"[^a-z0-9-]", "-", logical_id.lower())[:63].strip("-").ljust(3, "0")


@lru_cache(1024)
def _hashes(logical_id: str) -> Mapping[str, str]:
    """The parts of ids that are made from a logical id. A template refers to a resource many times."""
    digest = hashlib.sha256(logical_id.encode("utf-8", "backslashreplace"))
    hexadecimal, small = digest.hexdigest(), _small(digest.digest())
    uuid = "-".join((hexadecimal[:8], hexadecimal[8:12], f"4{hexadecimal[13:16]}", f"a{hexadecimal[17:20]}"))
    return {
        **{f"hex{length}": hexadecimal[:length] for length in (6, 8, 16, 17)},
        **{f"small{length}": small[:length] for length in (9, 10, 16, 26, 32)},
        "HEX16": hexadecimal[:16].upper(),
        "small10_root": small[32:42],
        "uuid": f"{uuid}-{hexadecimal[20:32]}",
        "digits": str(int(hexadecimal[:8], 16)),
    }


def _small(digest: bytes) -> str:
    """Lower-case letters and digits, the first a letter: an id may be the first label of a host name."""
    number, found = int.from_bytes(digest), []
    for _ in range(42):
        number, rest = divmod(number, len(_SMALL))
        found.append(_SMALL[rest])
    found[0] = _SMALL[_SMALL.index(found[0]) % 26]
    return "".join(found)
