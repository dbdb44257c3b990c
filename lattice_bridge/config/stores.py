"""Where a configuration's text is: a file, an object in S3, or a parameter of SSM.

Rule: text comes whole or not at all, and with its version. What it says is no business of this room; that it may be
cut off is: half a map may still load, without the rules that deny.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from lattice_bridge.aws import AwsClient, code_of
from lattice_bridge.config.document import MAX_BYTES
from lattice_bridge.config.regular_file import BadFile, over, read_regular_file
from lattice_bridge.errors import InvalidMap, Unavailable

SETTLED: Final = 2.0
"""Seconds after which a file that was written to is taken for finished."""
_MOMENT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Text:
    """A configuration as it was read. `version` means something to the source it is from, and nothing to others."""

    text: str
    version: str


class Source(Protocol):
    """A place to read a configuration from, as often as one likes."""

    def read(self, known: str | None) -> Text | None:
        """The text, or None while its version is `known`.

        Raises:
            Unavailable: `config_unreachable`: not there, not allowed, out of reach, cut off, over 64 MiB, or not UTF-8.
        """


def source_of(place: str, folder: Path, *, region: str | None = None, clock: Callable[[], float] = time.time) -> Source:
    """The source that `place` names: `s3://BUCKET/KEY`, `ssm:/NAME`, or a file. Nothing is read or connected yet.

    Args:
        folder: where a relative path begins.
        region: for S3 and SSM; boto3's own if None.
        clock: seconds, wall clock, as files are stamped.

    Raises:
        InvalidMap: none of these: a malformed one of S3 or SSM, another URL, or nothing.
    """
    if (fault := place_fault(place)) is not None:
        raise InvalidMap([fault])
    if place.startswith("s3:"):
        return S3Object(*_bucket_and_key(place), AwsClient("s3", region, read_timeout=2))
    if place.startswith("ssm:"):
        return SsmParameter(_parameter(place), AwsClient("ssm", region, read_timeout=2))
    return File(folder / place, clock)


def place_fault(place: str) -> str | None:
    """What is wrong with a configuration's place, if anything; see `source_of`."""
    try:
        if place.startswith("s3:"):
            _bucket_and_key(place)
        elif place.startswith("ssm:"):
            _parameter(place)
        elif "://" in place or not place or not place.isprintable():
            return f"{place!r}: a configuration is in a file, at s3://BUCKET/KEY, or at ssm:/NAME"
    except InvalidMap as error:
        return error.detail
    return None


# ---- a file ---------------------------------------------------------------------------------------------------------


class File:
    """A file. It is taken once nobody has written to it for two seconds; on a first read, which somebody waits for,
    once nobody has for a twentieth of one."""

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

    def read(self, known: str | None) -> Text | None:
        """See `Source.read`. None also for a file that may be half written."""
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
        return Text(_decoded(data, str(self._path)), version)

    def _still(self, found: os.stat_result) -> os.stat_result:
        """The file's state once two looks agree: whoever writes it is at it. A task root never comes to wait."""
        for _ in range(int(SETTLED / _MOMENT)):
            if self._is_settled(found):
                break
            self._pause(_MOMENT)
            before, found = found, self._path.stat()
            if _version(before, settled=True) == _version(found, settled=True):
                break
        return found

    def _is_settled(self, found: os.stat_result) -> bool:
        """A time stamp from the far future says nothing: by that clock the file would not be settled for long."""
        return abs(self._clock() - found.st_mtime) >= SETTLED


def _version(found: os.stat_result, settled: bool) -> str:
    """Of a file that was read too early, one that it will not have again: time stamps are coarse, and two writes in
    one tick leave the same."""
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}" + ("" if settled else " unsettled")


# ---- AWS ------------------------------------------------------------------------------------------------------------


class S3Object:
    """An object in S3, the newest version of it. `connect` gives boto3's client, without a request."""

    def __init__(self, bucket: str, key: str, connect: Callable[[], Any]) -> None:
        self._bucket = bucket
        self._key = key
        self.connect = connect

    def read(self, known: str | None) -> Text | None:
        """See `Source.read`."""
        place = f"s3://{self._bucket}/{self._key}"
        condition = {} if known is None else {"IfNoneMatch": known}
        try:
            answer = self.connect().get_object(Bucket=self._bucket, Key=self._key, **condition)
            data = _body(answer, place)
        except Unavailable:
            raise
        except Exception as error:
            if code_of(error) == "304":
                return None
            raise _unreachable(place, code_of(error)) from error
        return Text(_decoded(data, place), answer["ETag"])


def _body(answer: Mapping[str, Any], place: str) -> bytes:
    with closing(answer["Body"]) as stream:
        length = int(answer["ContentLength"])
        data = _bounded(b"" if length > MAX_BYTES else bytes(stream.read(MAX_BYTES + 1)), place, length)
    if len(data) != length:  # a read up to a bound does not complain of an end that came early
        raise _unreachable(place, f"ended after {len(data)} of {length} bytes")
    return data


class SsmParameter:
    """A parameter of SSM, the newest version of it, decrypted. `connect` gives boto3's client, without a request."""

    def __init__(self, name: str, connect: Callable[[], Any]) -> None:
        self._name = name
        self.connect = connect

    def read(self, known: str | None) -> Text | None:
        """See `Source.read`."""
        place = f"ssm:{self._name}"
        try:
            found = self.connect().get_parameter(Name=self._name, WithDecryption=True)["Parameter"]
            # With the time: a parameter that was deleted and made again begins at version 1 once more.
            version = f"{found['Version']} of {found['LastModifiedDate'].timestamp()}"
            text = str(found["Value"])
        except Exception as error:
            raise _unreachable(place, code_of(error)) from error
        return None if version == known else Text(text, version)


# ---- places ---------------------------------------------------------------------------------------------------------

_BUCKET: Final = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# What S3 calls safe, and a few more. Not `?`: somebody who names a version would be given the newest one.
_KEY: Final = re.compile(r"[A-Za-z0-9!_.*'()+=@:,&$-]+(?:/[A-Za-z0-9!_.*'()+=@:,&$-]+)*")
_NAME: Final = re.compile(r"(?:/[A-Za-z0-9_.-]+){1,15}")


def _bucket_and_key(place: str) -> tuple[str, str]:
    bucket, _, key = place.removeprefix("s3://").partition("/")
    is_key = _KEY.fullmatch(key) and len(key) <= 1024
    # On the way, `.` and `..` would be taken for steps of a path, and the key for another.
    if not (place.startswith("s3://") and _BUCKET.fullmatch(bucket) and is_key) or {".", ".."} & {*key.split("/")}:
        raise InvalidMap(
            [
                f"{place}: write s3://BUCKET/KEY: a bucket's name, and a key of letters, digits and !_.*'()+=@:,&$- "
                "between slashes; the newest version is read, no other can be named"
            ]
        )
    return bucket, key


def _parameter(place: str) -> str:
    name = place.removeprefix("ssm:")
    if not _NAME.fullmatch(name) or len(name) > 1011:
        raise InvalidMap(
            [
                f"{place}: write ssm:/NAME: a parameter's full name, of letters, digits and _.- after each slash; "
                "the newest version is read, no other can be named"
            ]
        )
    return name


# ---- faults ---------------------------------------------------------------------------------------------------------

_ADVICE: Final[Mapping[tuple[str, str], str]] = {
    ("s3", "AccessDenied"): "grant the bridge s3:GetObject on it, and kms:Decrypt on its key if it is encrypted with "
    "one; S3 also says so of a key that is not there, unless s3:ListBucket is granted",
    ("s3", "NoSuchKey"): "the bucket has no such key",
    ("s3", "NoSuchBucket"): "there is no such bucket",
    ("ssm", "AccessDeniedException"): "grant the bridge ssm:GetParameter on it, and kms:Decrypt on its key if it is a "
    "SecureString",
    ("ssm", "ParameterNotFound"): "there is no such parameter in this account and region",
}


def _unreachable(place: str, cause: str) -> Unavailable:
    advice = _ADVICE.get((place.partition(":")[0], cause))
    return Unavailable("config_unreachable", f"{place}: {cause}" + (f": {advice}" if advice else ""))


def _bounded(data: bytes, place: str, length: int = 0) -> bytes:
    if max(len(data), length) > MAX_BYTES:
        raise _unreachable(place, over(MAX_BYTES))
    return data


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreachable(place, f"not UTF-8 at byte {error.start}") from error
