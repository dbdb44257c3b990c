"""The streams of the template in the stack's Kinesis, and what a change of the template does to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lattice_bridge.local.aws.kinesis.streams import KinesisStreams, Wanted
from lattice_bridge.local.plan.streams import Stream
from lattice_bridge.local.sources.template_streams import TemplateStreams
from tests.support.virtual_streams import put

if TYPE_CHECKING:
    import pytest

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream"
CLICKS = Stream("Clicks", "clicks", f"{ARN}/clicks", 2, 48, 2048)


def made(*wanted: Stream) -> tuple[KinesisStreams, TemplateStreams]:
    streams = KinesisStreams("us-east-1", "123456789012")
    found = TemplateStreams(streams)
    found.replace(wanted)
    return streams, found


def test_streams_of_the_template_are_made() -> None:
    streams, _ = made(CLICKS, Stream("Any", "any", f"{ARN}/any", None))
    clicks, on_demand = streams.get("clicks"), streams.get("any")
    assert (len(clicks.open_shards()), clicks.retention_hours, clicks.max_record_size) == (2, 48, 2048)
    assert (clicks.mode, on_demand.mode) == ("PROVISIONED", "ON_DEMAND")


def test_stream_with_a_deployed_arn_has_it_in_its_records() -> None:
    arn = "arn:aws:kinesis:eu-central-1:111122223333:stream/prod"
    streams, _ = made(replace(CLICKS, name="prod", arn=arn))
    put(streams.get("prod"), b"1")
    (record,) = [record for shard in streams.get("prod").shards() for record in shard.after(0, 1)]
    assert (record.content["eventSourceARN"], record.content["awsRegion"]) == (arn, "eu-central-1")


def test_change_of_the_template_keeps_the_records() -> None:
    streams, template = made(CLICKS)
    put(streams.get("clicks"), b"1")
    template.replace([replace(CLICKS, shard_count=5, retention_hours=24)])
    clicks = streams.get("clicks")
    assert (len(clicks.open_shards()), clicks.retention_hours) == (5, 24)
    assert [len(shard.after(0, 9)) for shard in clicks.shards() if shard.is_closed] == [1]


def test_stream_that_left_the_template_keeps_its_records() -> None:
    streams, template = made(CLICKS)
    put(streams.get("clicks"), b"1")
    template.replace([])
    template.replace([CLICKS])
    assert sum(len(shard.after(0, 9)) for shard in streams.get("clicks").shards()) == 1


def test_setting_of_a_client_stays_until_the_template_changes_the_stream() -> None:
    streams, template = made(CLICKS)
    streams.get("clicks").resize(3)
    template.replace([CLICKS])
    assert len(streams.get("clicks").open_shards()) == 3
    template.replace([replace(CLICKS, retention_hours=24)])
    assert len(streams.get("clicks").open_shards()) == 2


def test_stream_that_a_client_has_made_under_another_arn_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    streams, template = made()
    streams.create(Wanted("clicks"))
    template.replace([replace(CLICKS, arn="arn:aws:kinesis:eu-west-1:111122223333:stream/clicks")])
    assert "stream clicks is not as in the template: Stream clicks under account 123456789012 already exists" in (
        caplog.text
    )
