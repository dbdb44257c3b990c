"""Auth policies in the running stack, with signed and unsigned requests of curl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.stack import FORWARDED_FUNCTION, RunningStack, running

TEMPLATE: Final = (
    FORWARDED_FUNCTION
    + """
  Network: {Type: "AWS::VpcLattice::ServiceNetwork", Properties: {AuthType: AWS_IAM}}
  Joined:
    Type: AWS::VpcLattice::ServiceNetworkServiceAssociation
    Properties: {ServiceIdentifier: !Ref Service, ServiceNetworkIdentifier: !Ref Network}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {AuthType: AWS_IAM}}
  OfNetwork:
    Type: AWS::VpcLattice::AuthPolicy
    Properties:
      ResourceIdentifier: !Ref Network
      Policy: '{"Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*/admin"}]}'
  OfService:
    Type: AWS::VpcLattice::AuthPolicy
    Properties:
      ResourceIdentifier: !GetAtt Service.Arn
      Policy:
        Statement:
          - {Effect: Allow, Principal: "*", Action: vpc-lattice-svcs:Invoke, Resource: !Sub "${Service.Arn}/public"}
          - Effect: Allow
            Principal: {AWS: "arn:aws:iam::111122223333:role/blue-api"}
            Action: vpc-lattice-svcs:Invoke
            Resource: !Sub "${Service.Arn}/*"
"""
)
BLUE, GREEN = "LOCALBLUE:blue", "LOCALGREEN:green"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "app.py").write_text("def handler(event, context):\n    return {'statusCode': 200, 'body': 'hello'}\n")
    with running(template=folder / "template.yaml") as stack:
        yield stack


def curl(stack: RunningStack, path: str, user: str | None = None) -> str:
    """Returns curl's output: the body and the status."""
    signing = ["--aws-sigv4", "aws:amz:us-east-1:vpc-lattice-svcs", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    command = ["curl", "-s", "--path-as-is", "-w", "%{http_code}", *([*signing, "--user", user] if user else [])]
    done = subprocess.run([*command, stack.front + path], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("path", "user", "who"),
    [
        ("/public", None, None),
        ("/public?x=1", GREEN, None),
        ("/private", BLUE, None),
        ("/private", GREEN, "arn:aws:sts::111122223333:assumed-role/green-api/local"),
        ("/private", None, "anonymous"),
        ("/public/../private", None, "anonymous"),
        ("/publi%63", None, "anonymous"),
        ("/public/", None, "anonymous"),
    ],
)
def test_policies_decide_the_response(stack: RunningStack, path: str, user: str | None, who: str | None) -> None:
    answer = curl(stack, path, user)
    if who is None:
        assert answer == "hello200"
        return
    assert answer.startswith(
        f"AccessDeniedException: User: {who} is not authorized to perform: vpc-lattice-svcs:Invoke"
    )
    assert answer.endswith(f"{path} because no service-based policy allows the vpc-lattice-svcs:Invoke action\n403")


@pytest.mark.parametrize("user", [BLUE, None])
def test_network_deny_overrides_the_service(stack: RunningStack, user: str | None) -> None:
    assert curl(stack, "/admin", user).endswith("/admin with an explicit deny in a network-based policy\n403")


def test_wrong_signature_is_refused_where_unsigned_is_allowed(stack: RunningStack) -> None:
    assert curl(stack, "/public", "LOCALBLUE:wrong").endswith("403")
