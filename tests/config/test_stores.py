"""Stores of a configuration: files, S3 and SSM. A text is read whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.config.document import MAX_BYTES
from lattice_bridge.config.regular_file import read_regular_file
from lattice_bridge.config.stores import FileStore, S3Store, SsmStore, Store, StoredText, store_at
from lattice_bridge.errors import InvalidMap, Unavailable
from tests.support.aws_server import REGION, AwsServer
from tests.support.fake_lambda import FakeLambda
from tests.support.fake_lambda import Says as Refuses
from tests.support.key_server import KeyServer, Says
from tests.support.paths import ROOT

LONG_AGO = 1_600_000_000.0


class Clock:
    """Wall clock, which does not go on by itself."""

    def __init__(self) -> None:
        self.now = LONG_AGO + 1000

    def __call__(self) -> float:
        return self.now


def unreachable(source: Store, known: str | None = None) -> str:
    with pytest.raises(Unavailable) as caught:
        source.read(known)
    assert (caught.value.reason, caught.value.status) == ("config_unreachable", 503)
    return caught.value.detail


# ---- a file ---------------------------------------------------------------------------------------------------------


def write(path: Path, data: str | bytes, at: float = LONG_AGO) -> None:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, (at, at))


def read(source: Store, known: str | None = None) -> StoredText:
    found = source.read(known)
    assert found is not None
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.toml"


def test_file_is_read_once_and_again_when_it_has_changed(path: Path) -> None:
    source = FileStore(path, Clock())
    write(path, "gr\u00fcn\r\n")
    first = read(source)
    assert first.text == "gr\u00fcn\r\n"
    assert source.read(first.version) is None
    write(path, "blau", LONG_AGO + 1)
    second = read(source, first.version)
    assert second.text == "blau"
    assert source.read(second.version) is None


@pytest.mark.parametrize("change", ["stamp", "size", "inode"])
def test_any_changed_attribute_is_a_new_version(path: Path, change: str) -> None:
    write(path, "one")
    source = FileStore(path, Clock())
    version = read(source).version
    if change == "inode":  # a deployment may keep the time stamps
        write(path.with_suffix(".new"), "two")
        path.with_suffix(".new").replace(path)
    else:
        write(path, "two" if change == "stamp" else "three", LONG_AGO + 1e-3 * (change == "stamp"))
    assert read(source, version).text in ("two", "three")


def test_file_being_written_is_not_read_again(path: Path) -> None:
    """Trap D4."""
    clock = Clock()
    source = FileStore(path, clock)
    write(path, "whole")
    version = read(source).version
    write(path, "hal", clock.now)
    assert source.read(version) is None
    clock.now += 1.9
    assert source.read(version) is None
    write(path, "half no more", clock.now)
    clock.now += 1.9
    assert source.read(version) is None
    clock.now += 0.2
    assert read(source, version).text == "half no more"


def test_first_read_takes_a_new_file(path: Path) -> None:
    clock = Clock()
    write(path, "new", clock.now)
    assert read(FileStore(path, clock)).text == "new"


def test_second_write_in_the_same_tick_is_seen(path: Path) -> None:
    """Time stamps are coarse: the two leave the same, and as many bytes."""
    clock = Clock()
    source = FileStore(path, clock)
    write(path, "one", clock.now)
    version = read(source).version
    write(path, "two", clock.now)
    clock.now += 3
    second = read(source, version)
    assert second.text == "two"
    assert source.read(second.version) is None


def test_file_from_the_future_is_read(path: Path) -> None:
    clock = Clock()
    source = FileStore(path, clock)
    write(path, "one")
    version = read(source).version
    write(path, "two", clock.now + 3600)
    assert read(source, version).text == "two"
    write(path, "six", clock.now + 1)
    assert source.read(version) is None


def test_file_that_changes_during_the_read_is_not_taken(path: Path) -> None:
    """Trap D4."""

    def content(file: Path, limit: int) -> bytes:
        """Content of a file that is written to just before it is opened."""
        write(path, "half", LONG_AGO + 2)
        return read_regular_file(file, limit)

    write(path, "one")
    assert read(FileStore(path, Clock(), content=content)).text == "half"
    write(path, "one")
    assert FileStore(path, Clock(), content=content).read("another") is None
    assert read(FileStore(path, Clock()), "another").text == "half"


def test_emptied_file_is_an_empty_text(path: Path) -> None:
    """Trap D4: the parser refuses it."""
    source = FileStore(path, Clock())
    write(path, "one")
    version = read(source).version
    write(path, "")
    assert read(source, version).text == ""


def test_deleted_file_is_unreachable_and_can_come_back(path: Path) -> None:
    """Trap D4."""
    source = FileStore(path, Clock())
    write(path, "one")
    version = read(source).version
    path.unlink()
    assert unreachable(source, version) == f"{path}: No such file or directory"
    assert unreachable(source) == f"{path}: No such file or directory"
    write(path, "two", LONG_AGO + 1)
    assert read(source, version).text == "two"


@pytest.mark.parametrize("known", [None, "1"])
def test_other_kind_of_file_is_unreachable(tmp_path: Path, known: str | None) -> None:
    os.utime(tmp_path, (LONG_AGO, LONG_AGO))
    assert unreachable(FileStore(tmp_path, Clock()), known) == f"{tmp_path}: not a regular file but a folder"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    os.utime(pipe, (LONG_AGO, LONG_AGO))
    assert unreachable(FileStore(pipe, Clock()), known) == f"{pipe}: not a regular file but a pipe"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "symbolic links" in unreachable(FileStore(tmp_path / "loop", Clock()), known)


def test_file_that_is_not_utf_8_is_unreachable(path: Path) -> None:
    write(path, b"name = '\xff'")
    assert unreachable(FileStore(path, Clock())) == f"{path}: not UTF-8 at byte 8"


def test_64_mib_are_read_and_one_more_byte_is_not(path: Path) -> None:
    """Trap D9."""
    with path.open("wb") as file:
        file.truncate(MAX_BYTES)
    assert len(read(FileStore(path, Clock())).text) == MAX_BYTES
    with path.open("ab") as file:
        file.write(b" ")
    assert unreachable(FileStore(path, Clock())) == f"{path}: over 64 MiB"


# ---- places ---------------------------------------------------------------------------------------------------------


def test_path_begins_at_the_folder_unless_it_is_absolute(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", "a")
    (tmp_path / "deep").mkdir()
    for place in ("a.toml", "./a.toml", "deep/../a.toml", str(tmp_path / "a.toml")):
        assert read(store_at(place, tmp_path)).text == "a"
    assert read(store_at(str(tmp_path / "a.toml"), tmp_path / "deep")).text == "a"


def test_clock_argument_reaches_the_file_store(path: Path) -> None:
    clock = Clock()
    write(path, "one", clock.now)
    assert store_at(path.name, path.parent, clock=clock).read("known") is None
    assert store_at(path.name, path.parent).read("known") is not None


@pytest.mark.parametrize(
    "place",
    [
        *("s3:", "s3:/", "s3://", "s3:///key", "s3://bucket", "s3://bucket/", "s3:bucket/key", "s3:/bucket/key"),
        *("s3://Bucket/key", "s3://bu/key", "s3://-bucket/key", "s3://bucket-/key", "s3://bu..cket/key"),
        *("s3://bucket_1/key", f"s3://{'b' * 64}/key", "s3://b:9000/key", "s3://user@bucket/key", "s3://bucket\n/key"),
        *("s3://bucket/key?versionId=1", "s3://bucket/key#x", "s3://bucket/a%2fb", "s3://bucket//key"),
        *("s3://bucket/a//b", "s3://bucket/a/", "s3://bucket/a/../b", "s3://bucket/..", "s3://bucket/./b"),
        *("s3://bucket/key\n", "s3://bucket/a b", "s3://bucket/\u00e9", f"s3://bucket/{'k' * 1025}"),
    ],
)
def test_malformed_s3_address_is_a_fault(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidMap, match=r"write s3://BUCKET/KEY") as caught:
        store_at(place, tmp_path)
    assert caught.value.faults[0].startswith(f"{place}: ")


@pytest.mark.parametrize(
    "place",
    [
        *("ssm:", "ssm:name", "ssm:/", "ssm://name", "ssm:/a/", "ssm:/a//b", "ssm:/a b", "ssm:/a:3", "ssm:/a\n"),
        *("ssm:/a?x", "ssm:/\u00e9", "ssm:arn:aws:ssm:eu-west-1:111122223333:parameter/a", "ssm:" + "/a" * 16),
        "ssm:/" + "a" * 1011,
    ],
)
def test_malformed_ssm_address_is_a_fault(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidMap, match=r"write ssm:/NAME") as caught:
        store_at(place, tmp_path)
    assert caught.value.faults[0].startswith(f"{place}: ")


@pytest.mark.parametrize("place", ["", "https://example.com/a", "S3://bucket/key", "file:///a", "a\0b", "a\nb"])
def test_other_address_is_a_fault(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidMap, match="write a path, s3://BUCKET/KEY, or ssm:/NAME"):
        store_at(place, tmp_path)


def test_aws_store_imports_nothing_until_it_is_read() -> None:
    program = (
        "import sys; from pathlib import Path; from lattice_bridge.config.stores import store_at\n"
        "for place in ('s3://bucket/a.toml', 'ssm:/a/b', 'a.toml'): store_at(place, Path('.'))\n"
        "assert not {'boto3', 'botocore'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


# ---- AWS ------------------------------------------------------------------------------------------------------------


At = Callable[..., Store]


@pytest.fixture
def at(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    """Makes stores, in an environment in which boto3 finds moto's server; closes their clients."""
    aws.environment(monkeypatch)
    made: list[Store] = []

    def make(place: str, url: str | None = None) -> Store:
        if url is not None:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
            monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", url)
        made.append(store_at(place, Path("nowhere"), region=REGION))
        return made[-1]

    yield make
    for source in made:
        assert isinstance(source, (S3Store, SsmStore))
        source.connect().close()


@pytest.fixture(scope="module")
def s3(aws: AwsServer) -> Iterator[Any]:
    client = aws.client("s3")
    client.create_bucket(Bucket="configs", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield client
    client.close()


@pytest.fixture(scope="module")
def ssm(aws: AwsServer) -> Iterator[Any]:
    client = aws.client("ssm")
    yield client
    client.close()


def origin(server: KeyServer) -> str:
    return server.url.removesuffix("/keys")


def test_object_in_s3_is_read_once_and_again_when_it_has_changed(at: At, s3: Any) -> None:
    source = at("s3://configs/prod/bridge.toml")
    s3.put_object(Bucket="configs", Key="prod/bridge.toml", Body="gr\u00fcn\r\n".encode())
    first = read(source)
    assert first.text == "gr\u00fcn\r\n"
    assert source.read(first.version) is None
    s3.put_object(Bucket="configs", Key="prod/bridge.toml", Body=b"blau")
    second = read(source, first.version)
    assert second.text == "blau"
    assert source.read(second.version) is None
    assert read(source).text == "blau"


def test_emptied_object_is_empty_and_deleted_is_unreachable(at: At, s3: Any) -> None:
    """Trap D4."""
    source = at("s3://configs/going.toml")
    s3.put_object(Bucket="configs", Key="going.toml", Body=b"one")
    version = read(source).version
    s3.put_object(Bucket="configs", Key="going.toml", Body=b"")
    assert read(source, version).text == ""
    s3.delete_object(Bucket="configs", Key="going.toml")
    assert unreachable(source, version) == "s3://configs/going.toml: NoSuchKey: the bucket has no such key"


def test_missing_bucket_is_reported(at: At) -> None:
    assert unreachable(at("s3://nowhere/a")) == "s3://nowhere/a: NoSuchBucket: there is no such bucket"


def test_every_character_of_a_key_arrives(at: At, s3: Any) -> None:
    key = "a!_.*'()+=@:,&$-/...x/b"
    s3.put_object(Bucket="configs", Key=key, Body=b"found")
    assert read(at(f"s3://configs/{key}")).text == "found"


def test_object_that_is_not_utf_8_is_unreachable(at: At, s3: Any) -> None:
    s3.put_object(Bucket="configs", Key="latin", Body=b"\xff")
    assert unreachable(at("s3://configs/latin")) == "s3://configs/latin: not UTF-8 at byte 0"


def test_denied_object_names_the_permission(at: At) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>secret</Message></Error>"
    with KeyServer(Says(body, 403)) as server:
        detail = unreachable(at("s3://configs/a", origin(server)))
        assert server.requests == ["/configs/a"]
    assert detail.startswith("s3://configs/a: AccessDenied: grant the bridge s3:GetObject on it")
    assert "secret" not in detail


def test_s3_is_asked_twice_at_most(at: At) -> None:
    with KeyServer(Says(b"", 500)) as server:
        assert unreachable(at("s3://configs/a", origin(server))) == "s3://configs/a: 500"
        assert len(server.requests) == 2


def test_truncated_object_is_unreachable(at: At) -> None:
    """Trap D4: half a map may load, without the rules that deny."""
    with KeyServer(Says(b"tenants = {}", promised=1000, headers={"etag": '"1"'})) as server:
        assert unreachable(at("s3://configs/a", origin(server))).startswith("s3://configs/a: ")


def test_object_over_64_mib_is_not_read(at: At) -> None:
    """Trap D9."""
    with KeyServer(Says(b"", promised=MAX_BYTES + 1, headers={"etag": '"1"'})) as server:
        assert unreachable(at("s3://configs/a", origin(server))) == "s3://configs/a: over 64 MiB"


class Body:
    """What boto3 streams an object's bytes from. Counts what is asked of it, and whether it was closed."""

    def __init__(self, data: bytes | Exception) -> None:
        self.data = data
        self.asked: list[int] = []
        self.closed = False

    def read(self, amount: int) -> bytes:
        self.asked.append(amount)
        if isinstance(self.data, Exception):
            raise self.data
        return self.data

    def close(self) -> None:
        self.closed = True


class Client:
    """An S3 client that answers with this body, of this length as it says."""

    def __init__(self, body: Body, length: int) -> None:
        self.answer = {"Body": body, "ContentLength": length, "ETag": "1"}

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        return self.answer


@pytest.mark.parametrize(
    ("data", "length", "says"),
    [
        (b"whole", 5, None),
        (b"half", 5, "s3://configs/a: ended after 4 of 5 bytes"),
        (b"", 5, "s3://configs/a: ended after 0 of 5 bytes"),
        (b"more", 3, "s3://configs/a: ended after 4 of 3 bytes"),
        (b"", MAX_BYTES + 1, "s3://configs/a: over 64 MiB"),
        (OSError("secret"), 5, "s3://configs/a: OSError"),
    ],
)
def test_body_is_read_to_its_limit_and_closed(data: bytes | Exception, length: int, says: str | None) -> None:
    """Trap D9."""
    body = Body(data)
    source = S3Store("configs", "a", lambda: Client(body, length))
    assert (unreachable(source) if says else source.read(None)) == (says or StoredText("whole", "1"))
    assert body.closed
    assert body.asked == ([] if length > MAX_BYTES else [MAX_BYTES + 1])


def test_parameter_is_read_once_and_again_when_it_has_changed(at: At, ssm: Any) -> None:
    source = at("ssm:/prod/bridge.toml")
    ssm.put_parameter(Name="/prod/bridge.toml", Value="gr\u00fcn\r\n", Type="String")
    first = read(source)
    assert first.text == "gr\u00fcn\r\n"
    assert source.read(first.version) is None
    ssm.put_parameter(Name="/prod/bridge.toml", Value="blau", Type="String", Overwrite=True)
    second = read(source, first.version)
    assert second.text == "blau"
    assert source.read(second.version) is None


def test_encrypted_parameter_is_read_decrypted(at: At, ssm: Any) -> None:
    ssm.put_parameter(Name="/secret", Value="plain", Type="SecureString")
    assert read(at("ssm:/secret")).text == "plain"


def test_recreated_parameter_is_read_again(at: At, ssm: Any) -> None:
    """Its versions begin at 1 once more."""
    source = at("ssm:/again")
    ssm.put_parameter(Name="/again", Value="one", Type="String")
    version = read(source).version
    ssm.delete_parameter(Name="/again")
    assert unreachable(source, version).startswith("ssm:/again: ParameterNotFound: there is no such parameter")
    assert ssm.put_parameter(Name="/again", Value="two", Type="String")["Version"] == 1
    assert read(source, version).text == "two"


def test_denied_parameter_names_the_permission(at: At) -> None:
    body = b'{"__type":"AccessDeniedException","message":"secret"}'
    with FakeLambda(Refuses(body, 400)) as server:
        detail = unreachable(at("ssm:/a", server.url))
    assert detail.startswith("ssm:/a: AccessDeniedException: grant the bridge ssm:GetParameter on it")
    assert "secret" not in detail


@pytest.mark.parametrize("place", ["s3://configs/a", "ssm:/a"])
def test_client_is_made_once_and_gives_up_soon(at: At, place: str) -> None:
    source: Any = at(place)
    with ThreadPoolExecutor(32) as pool:
        [client] = set(pool.map(lambda _: source.connect(), range(64)))
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (1, 2, 2)
    assert client.meta.region_name == REGION


@pytest.mark.parametrize("place", ["s3://configs/a", "ssm:/a"])
def test_stopped_server_is_unreachable(at: At, place: str) -> None:
    with KeyServer(Says()) as server:
        url = origin(server)
    assert unreachable(at(place, url)) == f"{place}: EndpointConnectionError"


def test_missing_region_is_unreachable(monkeypatch: pytest.MonkeyPatch, aws: AwsServer) -> None:
    aws.environment(monkeypatch)
    assert unreachable(store_at("ssm:/a", Path("nowhere"))) == "ssm:/a: NoRegionError"


# ---- a first read that comes too early ------------------------------------------------------------------------------


def test_first_read_waits_for_a_writer(tmp_path: Path) -> None:
    """Trap D4: half a map may load, without the rules that deny."""
    path = tmp_path / "bridge.toml"
    path.write_text("half", encoding="utf-8")
    parts = iter([" a", " map"])

    def writing(seconds: float) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(next(parts, ""))

    found = FileStore(path, pause=writing).read(None)
    assert found is not None
    assert found.text == "half a map"


def test_first_read_of_a_settled_file_does_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("whole", encoding="utf-8")
    waited: list[float] = []
    assert FileStore(path, clock=lambda: path.stat().st_mtime + 10, pause=waited.append).read(None)
    assert waited == []


def test_first_read_of_an_endlessly_written_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("x", encoding="utf-8")
    waited: list[float] = []

    def writing(seconds: float) -> None:
        waited.append(seconds)
        path.write_text("x" * len(waited) * 2, encoding="utf-8")

    assert FileStore(path, pause=writing).read(None)
    assert len(waited) == 40
