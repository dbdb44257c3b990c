"""The recorded stack's roles, in moto."""

from __future__ import annotations

import json

import pytest

from tests.support.aws_server import AwsServer
from tests.support.doctor_stack import RIGHTS, TRUST
from tests.support.recorded_aws import client


@pytest.fixture(scope="module")
def roles(aws: AwsServer) -> AwsServer:
    """moto with the bridge's role and a role of the map."""
    iam = client("iam", aws.url)
    for name in ("bridge-role", "Blue-Api"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="bridge-role", PolicyName="invoke", PolicyDocument=json.dumps(RIGHTS))
    return aws
