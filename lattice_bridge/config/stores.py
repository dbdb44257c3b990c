"""Stores of a configuration's text: a file, an object in S3, or a parameter of SSM.

Rule: a text is read whole, with its version, or not at all. Half a map could still load, without its deny rules. This
module does not parse the text.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from lattice_bridge.aws import AwsClient, code_of
from lattice_bridge.config.document import MAX_BYTES
from lattice_bridge.config.regular_file import BadFile, over, read_regular_file
from lattice_bridge.errors import InvalidMap, Unavailable

SETTLED: Final = 2.0
"""Seconds without a write after which a file counts as finished."""

_STAT_INTERVAL: Final = 0.05


class StoredText(NamedTuple):
    """A configuration's text, with its version in its store. Versions of different stores cannot be compared."""

    text: str
    version: str


class Store(Protocol):
    """Contains a configuration, which can be read again and again."""

    def read(self, known: str | None) -> StoredText | None:
        """The text, or None while its version is `known`.

        Raises:
            Unavailable: `config_unreachable`: not there, not allowed, out of reach, cut off, over 64 MiB, or not UTF-8.
        """


def store_at(address: str, folder: Path, *, region: str | None = None, clock: Callable[[], float] = time.time) -> Store:
    """The store at an address: `s3://BUCKET/KEY`, `ssm:/NAME`, or the path of a file. Nothing is read or connected yet.

    Args:
        address: of the configuration.
        folder: a relative path begins here.
        region: for S3 and SSM; boto3's own if None.
        clock: seconds of the wall clock, for comparison with the time stamps of files.

    Raises:
        InvalidMap: the address is malformed, another URL, or empty.
    """
    if (fault := address_fault(address)) is not None:
        raise InvalidMap([fault])
    if address.startswith("s3:"):
        return S3Store(*_bucket_and_key(address), AwsClient("s3", region, read_timeout=2))
    if address.startswith("ssm:"):
        return SsmStore(_parameter(address), AwsClient("ssm", region, read_timeout=2))
    return FileStore(folder / address, clock)


def address_fault(address: str) -> str | None:
    """The fault of a configuration's address, or None; see `store_at`."""
    try:
        if address.startswith("s3:"):
            _bucket_and_key(address)
        elif address.startswith("ssm:"):
            _parameter(address)
        elif "://" in address or not address or not address.isprintable():
            return f"{address!r}: not the address of a configuration. Fix: write a path, s3://BUCKET/KEY, or ssm:/NAME"
    except InvalidMap as error:
        return error.detail
    return None


# ---- a file ---------------------------------------------------------------------------------------------------------


class FileStore:
    """A file. It is read when it was not written to for two seconds, so it is not half written. On the first read, for
    which a start waits, a twentieth of a second is enough."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
        content: Callable[[Path, int], bytes] = read_regular_file,
    ) -> None:
        self._path = path
        self._content = content
        self._clock = clock
        self._pause = pause

    def read(self, known: str | None) -> StoredText | None:
        """See `Store.read`. None as well for a file that may be half written."""
        try:
            before = self._path.stat()
            if known is None:
                before = self._still(before)
            settled = self._is_settled(before)
            version = _version(before, settled)
            if known is not None and (version == known or not settled):
                return None
            data = self._content(self._path, MAX_BYTES)
            if known is not None and _version(self._path.stat(), settled) != version:
                return None
        except OSError as error:
            raise _unreachable(str(self._path), error.strerror or type(error).__name__) from error
        except BadFile as error:
            raise _unreachable(str(self._path), error.what) from error
        return StoredText(_decoded(data, str(self._path)), version)

    def _still(self, found: os.stat_result) -> os.stat_result:
        """The file's state when two readings of it agree. The files of a Lambda package are old enough, and cause no
        wait."""
        for _ in range(int(SETTLED / _STAT_INTERVAL)):
            if self._is_settled(found):
                break
            self._pause(_STAT_INTERVAL)
            before, found = found, self._path.stat()
            if _version(before, settled=True) == _version(found, settled=True):
                break
        return found

    def _is_settled(self, found: os.stat_result) -> bool:
        """Also true for a time stamp in the far future: the file would not be settled for a long time."""
        return abs(self._clock() - found.st_mtime) >= SETTLED


def _version(found: os.stat_result, settled: bool) -> str:
    """The version of a file's state. A file that was read too early gets a version that it will not have again: time
    stamps are coarse, and two writes in one tick have the same."""
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}" + ("" if settled else " unsettled")


# ---- AWS ------------------------------------------------------------------------------------------------------------


class S3Store:
    """An object in S3, the newest version of it. `connect` returns boto3's client, without a request."""

    def __init__(self, bucket: str, key: str, connect: Callable[[], Any]) -> None:
        self._bucket = bucket
        self._key = key
        self.connect = connect

    def read(self, known: str | None) -> StoredText | None:
        """See `Store.read`."""
        address = f"s3://{self._bucket}/{self._key}"
        condition = {} if known is None else {"IfNoneMatch": known}
        try:
            answer = self.connect().get_object(Bucket=self._bucket, Key=self._key, **condition)
            data = _body(answer, address)
        except Unavailable:
            raise
        except Exception as error:
            if code_of(error) == "304":
                return None
            raise _unreachable(address, code_of(error)) from error
        return StoredText(_decoded(data, address), answer["ETag"])


def _body(answer: Mapping[str, Any], address: str) -> bytes:
    with closing(answer["Body"]) as stream:
        length = int(answer["ContentLength"])
        data = _bounded(b"" if length > MAX_BYTES else bytes(stream.read(MAX_BYTES + 1)), address, length)
    if len(data) != length:  # a read with a limit does not report an early end
        raise _unreachable(address, f"ended after {len(data)} of {length} bytes")
    return data


class SsmStore:
    """A parameter of SSM, the newest version of it, decrypted. `connect` returns boto3's client, without a request."""

    def __init__(self, name: str, connect: Callable[[], Any]) -> None:
        self._name = name
        self.connect = connect

    def read(self, known: str | None) -> StoredText | None:
        """See `Store.read`."""
        address = f"ssm:{self._name}"
        try:
            found = self.connect().get_parameter(Name=self._name, WithDecryption=True)["Parameter"]
            # With the time: the versions of a parameter that was deleted and made again begin at 1.
            version = f"{found['Version']} of {found['LastModifiedDate'].timestamp()}"
            text = str(found["Value"])
        except Exception as error:
            raise _unreachable(address, code_of(error)) from error
        return None if version == known else StoredText(text, version)


# ---- addresses ------------------------------------------------------------------------------------------------------

_BUCKET: Final = r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
# The characters that S3 calls safe, and a few more. Not `?`: with ?versionId=…, the newest version would be read.
_KEY: Final = r"[A-Za-z0-9!_.*'()+=@:,&$-]+(?:/[A-Za-z0-9!_.*'()+=@:,&$-]+)*"
_NAME: Final = r"(?:/[A-Za-z0-9_.-]+){1,15}"


def _bucket_and_key(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    is_bucket = address.startswith("s3://") and re.fullmatch(_BUCKET, bucket)
    is_key = re.fullmatch(_KEY, key) and len(key) <= 1024
    # In a URL, `.` and `..` are steps of a path, and the key would become another one.
    if not (is_bucket and is_key) or {".", ".."} & {*key.split("/")}:
        raise InvalidMap(
            [
                f"{address}: not an object in S3. Fix: write s3://BUCKET/KEY, with a key of letters, digits and "
                "!_.*'()+=@:,&$- between slashes; the newest version is read"
            ]
        )
    return bucket, key


def _parameter(address: str) -> str:
    name = address.removeprefix("ssm:")
    if not re.fullmatch(_NAME, name) or len(name) > 1011:
        raise InvalidMap(
            [
                f"{address}: not a parameter of SSM. Fix: write ssm:/NAME, with letters, digits and _.- after each "
                "slash; the newest version is read"
            ]
        )
    return name


# ---- faults ---------------------------------------------------------------------------------------------------------

_ADVICE: Final[Mapping[tuple[str, str], str]] = {
    ("s3", "AccessDenied"): "grant the bridge s3:GetObject on it, and kms:Decrypt on its key if it is encrypted with "
    "one; S3 also answers this for a key that does not exist, unless s3:ListBucket is granted",
    ("s3", "NoSuchKey"): "the bucket has no such key",
    ("s3", "NoSuchBucket"): "there is no such bucket",
    ("ssm", "AccessDeniedException"): "grant the bridge ssm:GetParameter on it, and kms:Decrypt on its key if it is a "
    "SecureString",
    ("ssm", "ParameterNotFound"): "there is no such parameter in this account and region",
}


def _unreachable(address: str, cause: str) -> Unavailable:
    advice = _ADVICE.get((address.partition(":")[0], cause))
    return Unavailable("config_unreachable", f"{address}: {cause}" + (f": {advice}" if advice else ""))


def _bounded(data: bytes, address: str, length: int = 0) -> bytes:
    if max(len(data), length) > MAX_BYTES:
        raise _unreachable(address, over(MAX_BYTES))
    return data


def _decoded(data: bytes, address: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreachable(address, f"not UTF-8 at byte {error.start}") from error
