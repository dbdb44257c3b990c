"""The definition that a stack serves: the parts that need no process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from lattice_bridge.local.aws.access_keys import AccessKeys
from lattice_bridge.local.aws.dynamodb.tables import Tables
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.served import AwsResources
from lattice_bridge.local.sources.template_buses import TemplateBuses
from lattice_bridge.local.sources.template_queues import TemplateQueues
from lattice_bridge.local.sources.template_streams import TemplateStreams
from lattice_bridge.local.sources.template_tables import TemplateTables
from tests.support.fake_stream import CLICKS, StreamFunction, streamed
from tests.support.mapped import succeed
from tests.support.virtual_buses import World as BusWorld
from tests.support.virtual_time import lived


def test_mappings_of_streams_of_a_definition_run() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, enabled=False)) as world:
            plan = Plan(Path(), "us-east-1", {}, (), stream_mappings=(CLICKS,))
            tables = TemplateTables(Tables("us-east-1", "123456789012"))
            streams = TemplateStreams(KinesisStreams("us-east-1", "123456789012"))
            queues, buses = TemplateQueues(world.queues), TemplateBuses(BusWorld().buses)
            AwsResources(AccessKeys(None), queues, streams, world.sources, tables, buses).replace(plan, {})
            world.shard.put("a")
            await asyncio.sleep(1)
            assert function.calls == [["a"]]

    lived(scenario())
