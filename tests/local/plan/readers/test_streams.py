"""The Kinesis streams of a template: names, settings, and what AWS refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.readers.template import read_plan
from lattice_bridge.local.plan.streams import Stream

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream"
FUNCTION = """
  F:
    Type: AWS::Lambda::Function
    Properties:
      Handler: app.f
      Runtime: python3.13
      Code: .
      Environment: {Variables: {NAME: !Ref S, ARN: !GetAtt S.Arn}}
"""


def planned(folder: Path, resources: str, ids: dict[str, str] | None = None) -> Plan:
    path = folder / "template.yaml"
    path.write_text(f"Resources:{resources}")
    return read_plan(read_template(path, {}, "eu-west-1", ids=ids or {}))


def stream(properties: str = "", name: str = "S") -> str:
    return f"\n  {name}: {{Type: AWS::Kinesis::Stream, Properties: {{{properties}}}}}\n"


def test_stream_has_the_settings_of_the_template(tmp_path: Path) -> None:
    text = 'Name: clicks, ShardCount: "4", RetentionPeriodHours: 48, MaxRecordSizeInKiB: 2048, Tags: []'
    plan = planned(tmp_path, stream(text))
    assert plan.streams == (Stream("S", "clicks", f"{ARN}/clicks", 4, 48, 2048),)
    assert plan.left_out == ()


def test_stream_on_demand_has_no_number_of_shards(tmp_path: Path) -> None:
    (found,) = planned(tmp_path, stream("StreamModeDetails: {StreamMode: ON_DEMAND}")).streams
    assert (found.shard_count, found.name) == (None, "S")


def test_function_gets_the_name_and_the_arn(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    plan = planned(tmp_path, stream("ShardCount: 1") + FUNCTION[1:])
    assert plan.functions["F"].environment == {"NAME": "S", "ARN": f"{ARN}/S"}


def test_stream_with_a_deployed_arn_has_its_account_region_and_name(tmp_path: Path) -> None:
    """bridge.toml then names the same stream here and in the deployed stack."""
    arn = "arn:aws:kinesis:eu-central-1:111122223333:stream/prod-clicks"
    (found,) = planned(tmp_path, stream("ShardCount: 1"), {"S": arn}).streams
    assert (found.arn, found.name) == (arn, "prod-clicks")


def test_part_that_is_not_emulated_is_named(tmp_path: Path) -> None:
    text = "StreamEncryption: {EncryptionType: KMS, KeyId: a}, WarmThroughputMiBps: 9"
    assert planned(tmp_path, stream(text)).left_out == (
        "ShardCount is missing, so it has one shard (S)",
        "records are not encrypted (S)",
        "property WarmThroughputMiBps has no effect (S)",
    )


def test_stream_whose_name_is_not_known_here_is_not_served(tmp_path: Path) -> None:
    text = "Name: !ImportValue Elsewhere, ShardCount: 1"
    plan = planned(tmp_path, stream(text) + stream("ShardCount: 1", "Other"))
    assert [each.id for each in plan.streams] == ["Other"]
    assert any("its name is not known here" in line for line in plan.left_out)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("ShardCount: 0", "S.ShardCount: '0' is not from 1 to 1000. Fix: write such a whole number"),
        ("ShardCount: many", "S.ShardCount: 'many' is not from 1 to 1000. Fix: write such a whole number"),
        ("ShardCount: 1, RetentionPeriodHours: 23", "S.RetentionPeriodHours: '23' is not from 24 to 8760"),
        ("ShardCount: 1, MaxRecordSizeInKiB: 1", "S.MaxRecordSizeInKiB: '1' is not from 1024 to 10240"),
        ("ShardCount: 1, Name: a b", "S.Name: 'a b' is not a stream's name. Fix: write up to 128 letters"),
        (
            "ShardCount: 1, StreamModeDetails: {StreamMode: ON_DEMAND}",
            "S.ShardCount: a stream with StreamMode: ON_DEMAND has none. Fix: remove it, or",
        ),
        (
            "StreamModeDetails: {StreamMode: FAST}",
            "S.StreamModeDetails.StreamMode: 'FAST' is unknown. Fix: write ON_DEMAND or PROVISIONED",
        ),
        ("StreamModeDetails: 1", "stream S"),
    ],
)
def test_what_aws_refuses_is_an_error_with_its_fix(tmp_path: Path, properties: str, message: str) -> None:
    with pytest.raises(BadTemplate) as found:
        planned(tmp_path, stream(properties))
    assert message in str(found.value)


def test_two_streams_with_one_name_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match="stream B: the stream A has the name same too"):
        planned(tmp_path, stream("Name: same, ShardCount: 1", "A") + stream("Name: same, ShardCount: 1", "B"))
