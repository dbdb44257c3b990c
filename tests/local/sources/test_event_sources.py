"""The mappings of a stack: what a change of the template and the end of the stack do to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from lattice_bridge.local.aws.sqs.message import Outgoing
from tests.support.mapped import ORDERS, REPORTING, STEPS, Function, mapped, succeed, taking
from tests.support.virtual_time import lived, now


def test_disabled_mapping_does_not_poll_until_it_is_enabled() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, replace(ORDERS, enabled=False)) as world:
            world.send("a")
            await asyncio.sleep(3600)
            assert function.calls == []
            world.sources.replace([ORDERS])
            await asyncio.sleep(1)
            assert function.calls == [["a"]]

    lived(scenario())


def test_mapping_that_stays_the_same_is_not_interrupted() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, replace(ORDERS, batch_size=100, window=10)) as world:
            world.send("a")
            await asyncio.sleep(1)
            world.sources.replace([replace(ORDERS, batch_size=100, window=10), replace(STEPS, id="N")])
            world.step("g", "s")
            world.send("b")
            await asyncio.sleep(10)
            assert function.calls == [["s"], ["a", "b"]]

    lived(scenario())


def test_changed_mapping_releases_what_it_has_collected() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, replace(ORDERS, batch_size=100, window=300), visibility=3600) as world:
            world.send("a", "b")
            await asyncio.sleep(1)
            world.sources.replace([REPORTING])
            await asyncio.sleep(1)
            assert [sorted(call) for call in function.calls] == [["a", "b"]]

    lived(scenario())


def test_batch_that_is_in_flight_ends_after_its_mapping_was_removed() -> None:
    async def scenario() -> None:
        function = Function(taking(10))
        async with mapped(function) as world:
            world.send("a")
            await asyncio.sleep(1)
            world.sources.replace([])
            world.send("b")
            await asyncio.sleep(100)
            assert function.calls == [["a"]]
            assert world.orders.counts() == (1, 0, 0)

    lived(scenario())


def test_end_of_the_stack_is_prompt_and_loses_no_message() -> None:
    async def scenario() -> None:
        function = Function(taking(600))
        async with mapped(function) as world:
            world.send("a")
            await asyncio.sleep(1)
            world.sources.replace([replace(ORDERS, batch_size=100, window=300)])
            world.send("b")
            await asyncio.sleep(1)
            begun = now()
            await world.sources.close()
            assert now() - begun < 1
            assert sum(world.orders.counts()) == 2
            assert function.running == 0

    lived(scenario())


def test_mapping_of_a_queue_that_is_made_again_goes_on() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function) as world:
            await asyncio.sleep(1)
            world.queues.delete("orders")
            world.queues.create("orders").send(Outgoing("a"))
            await asyncio.sleep(30)
            assert function.calls == [["a"]]

    lived(scenario())
