"""Files of a git revision: `HEAD:bridge.toml`.

Rule: git receives the name on its standard input, and never as an argument that could be an option. It runs no filter,
fetches nothing, and its size is known before the content is read.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from lattice_bridge.config.regular_file import BadFile, over

SECONDS: Final = 30
"""Time limit of one call of git, which reads a local file."""

_BLOB: Final = re.compile(r"([0-9a-f]{40,64}) (\w+) ([0-9]{1,18})\n?")
_KINDS: Final = {"tree": "folder"}
_NAME: Final = re.compile(r"[^\0\n]{1,4096}")


class RevisionFile(NamedTuple):
    """A file of a revision.

    Attributes:
        content: its bytes.
        folder: the folder in the work tree where the file would be.
    """

    content: bytes
    folder: Path


def is_revision(name: str) -> bool:
    """Whether a name is `REVISION:PATH`: it has a colon, and there is no such file."""
    return ":" in name and not os.path.lexists(name)


def read_revision(name: str, limit: int) -> RevisionFile:
    """Reads a file as git has it.

    Args:
        name: `REVISION:PATH`. As in git, the path begins at the repository's top folder, or at this folder if it begins
            with `./`.
        limit: bytes that the file may have.

    Raises:
        BadFile: there is no git, no repository, no such revision or path, or the file is over the limit.
    """
    if _NAME.fullmatch(name) is None:
        raise BadFile(name, "not a file's name", "write REVISION:PATH, as in HEAD:bridge.toml")
    found = _git(name, ["cat-file", "--batch-check"], f"{name}\n")
    match = _BLOB.fullmatch(found.decode("utf-8", "replace"))
    path = name.partition(":")[2]
    if match is None:
        fix = f"write a path from the repository's top folder, or HEAD:./{Path(path).name} for this folder"
        raise BadFile(name, "no such file, and no such revision or path in the git repository", fix)
    identity, kind, size = match.groups()
    if kind != "blob":
        raise BadFile(name, f"not a file but a {_KINDS.get(kind, kind)}", "name a file, as in HEAD:bridge.toml")
    if int(size) > limit:
        raise BadFile(name, over(limit), "check that it is the file you mean")
    return RevisionFile(_git(name, ["cat-file", "blob", identity]), _folder(name, path))


def _folder(name: str, path: str) -> Path:
    if path.startswith(("./", "../")):
        return Path(path).parent
    try:
        top = os.fsdecode(_git(name, ["rev-parse", "--show-toplevel"]).removesuffix(b"\n"))
    except BadFile:  # a bare repository has no work tree
        return Path()
    return Path(top, path).parent


def _git(name: str, words: list[str], given: str = "") -> bytes:
    environ = {**os.environ, "LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
    # A partial clone fetches an object that is missing, with a command that the repository's own settings choose.
    command = ["git", "-c", "protocol.allow=never", *words]
    try:
        done = subprocess.run(  # noqa: S603 - a list of fixed words; the name is on stdin
            command, input=os.fsencode(given), capture_output=True, timeout=SECONDS, check=False, env=environ
        )
    except FileNotFoundError as error:
        raise BadFile(name, "no such file, and git is not installed", "name a file, or install git") from error
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise BadFile(name, f"git does not answer: {type(error).__name__}", "name a file") from error
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0].removeprefix("fatal: ")[:200]
        if reason.startswith("not a git repository"):
            reason = "no such file, and not in a git repository"
        raise BadFile(name, reason, "name a file, or run this in a git repository")
    return done.stdout
