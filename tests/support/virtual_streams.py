"""Kinesis streams whose clock stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lattice_bridge.local.aws.kinesis.reading import Start
from lattice_bridge.local.aws.kinesis.shard import KinesisShard
from lattice_bridge.local.aws.kinesis.stream import KinesisStream
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams, Wanted
from tests.support.virtual_queues import ACCOUNT, REGION, Clock


@dataclass
class VirtualStreams:
    """Streams with a clock."""

    clock: Clock = field(default_factory=Clock)
    memory: int = 1024**3

    def __post_init__(self) -> None:
        self.streams = KinesisStreams(REGION, ACCOUNT, self.clock, memory=self.memory)

    def stream(self, shards: int = 1, name: str = "clicks") -> KinesisStream:
        return self.streams.create(Wanted(name, shards))

    def read(
        self, stream: KinesisStream, shard: KinesisShard, kind: str = "TRIM_HORIZON", number: str | None = None
    ) -> list[bytes]:
        """The data behind a new iterator."""
        iterator = self.streams.iterator(stream, shard, Start(kind, number))
        return [record.data for record in self.streams.read(iterator, 10_000)[2].records]


def put(stream: KinesisStream, *data: bytes, key: str = "a", hash_key: int | None = None) -> list[str]:
    """Puts records, and returns their sequence numbers."""
    return [str(stream.put(key, each, hash_key).record.number) for each in data]
