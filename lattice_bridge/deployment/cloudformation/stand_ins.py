"""Stand-ins for what a deployment would name: account, stack, ids.

Rule: made from the logical id, so they stay the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.fault import BadTemplate
from lattice_bridge.deployment.cloudformation.values import marker

ACCOUNT: Final = "123456789012"
GENERATED: Final = marker("what CloudFormation appends")
"""The end of a name that CloudFormation chooses."""

FUNCTIONS: Final = ("AWS::Serverless::Function", "AWS::Lambda::Function")
_LATTICE: Final[Mapping[str, tuple[str, str]]] = {
    "AWS::VpcLattice::Service": ("service", "svc"),
    "AWS::VpcLattice::ServiceNetwork": ("servicenetwork", "sn"),
    "AWS::VpcLattice::TargetGroup": ("targetgroup", "tg"),
    "AWS::VpcLattice::Listener": ("listener", "listener"),
    "AWS::VpcLattice::Rule": ("rule", "rule"),
}
_IAM: Final[Mapping[str, str]] = {"AWS::IAM::Role": "role", "AWS::IAM::ManagedPolicy": "policy"}
REFS_ARE_ARNS: Final = frozenset(
    {
        "AWS::Batch::JobDefinition",
        "AWS::Batch::JobQueue",
        "AWS::CertificateManager::Certificate",
        "AWS::ECS::Service",
        "AWS::ECS::TaskDefinition",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SecretsManager::Secret",
        "AWS::Serverless::StateMachine",
        "AWS::StepFunctions::Activity",
        "AWS::StepFunctions::StateMachine",
    }
)
"""What a deployment has `!Ref` give the ARN of, beside what is Lambda's, Lattice's or IAM's."""
_PARTITIONS: Final = (
    *(("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-iso-", "aws-iso")),
    ("eusc-", "aws-eusc"),
)


class StandIns:
    """Those of one template.

    Args:
        region: of the pretended deployment, unless `given` has another.
        given: pseudo parameters, such as `AWS::StackName`, that are known.
        deployed: what CloudFormation would choose is unresolved; otherwise the local stack's own names stand for it.

    Attributes:
        undecided: pseudo parameters that only stand in, as what decides nothing.

    Raises:
        BadTemplate: the account is none.
    """

    def __init__(self, region: str, given: Mapping[str, str], *, deployed: bool) -> None:
        self._deployed = deployed
        self.region = given.get("AWS::Region", region)
        self._partition = next((name for start, name in _PARTITIONS if self.region.startswith(start)), "aws")
        self.account = given.get("AWS::AccountId", ACCOUNT)
        if not re.fullmatch(r"[0-9]{12}", self.account):
            raise BadTemplate(f"AWS::AccountId: {self.account!r} is not 12 digits")
        self._stack = given.get("AWS::StackName", marker("AWS::StackName") if deployed else "local")
        unique = "51af3dc0-da77-11e4-872e-1234567db123"
        chosen = {
            "AWS::Region": self.region,
            "AWS::AccountId": self.account,
            "AWS::Partition": self._partition,
            "AWS::StackName": self._stack,
            "AWS::StackId": f"arn:{self._partition}:cloudformation:{self._here}:stack/{self._stack}/{unique}",
            "AWS::URLSuffix": f"amazonaws.com{'.cn' if self._partition == 'aws-cn' else ''}",
            "AWS::NotificationARNs": marker("AWS::NotificationARNs"),
        }
        self.pseudo: Mapping[str, Any] = {name: given.get(name, value) for name, value in chosen.items()}
        guessed = [name for name in ("AWS::AccountId", "AWS::Region") if deployed and name not in given]
        self.undecided: Mapping[str, Any] = {name: marker(name) for name in guessed}

    def function_name(self, name: str) -> str:
        """Of a function that has no name of its own."""
        return f"{self._stack}-{name}-{GENERATED}" if self._deployed else name

    def function_arn(self, function: str) -> str:
        return f"arn:{self._partition}:lambda:{self._here}:function:{function}"

    def version(self, name: str) -> str:
        """The number of a version, by its logical id."""
        return marker(f"the number of {name}") if self._deployed else "1"

    def attribute(self, name: str, attribute: str) -> str:
        """An attribute that is not known here."""
        return marker(f"{name}.{attribute}") if self._deployed else f"{name}.{attribute}"

    def arn(self, name: str, kind: str, own_name: str) -> str:
        """The ARN of a resource that is no function."""
        if kind in _LATTICE:
            path, prefix = _LATTICE[kind]
            unique = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:17]
            return f"arn:{self._partition}:vpc-lattice:{self._here}:{path}/{prefix}-{unique}"
        if kind in _IAM:
            return f"arn:{self._partition}:iam::{self.account}:{_IAM[kind]}/{own_name}"
        return f"arn:{self._partition}:local:{self._here}:{name}"

    @property
    def _here(self) -> str:
        return f"{self.region}:{self.account}"
