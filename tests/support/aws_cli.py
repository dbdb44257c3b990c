"""The AWS CLI, in the versions that this machine has: the first one beside Python, the second one on the PATH."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import pytest

KEYS: Final = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
JSON_SINCE: Final = (2, 13, 33)
"""Older ones speak to SQS in its query protocol."""


BESIDE: Final = Path(sys.executable).with_name("aws")
"""What the package awscli installs."""


@cache
def _version(command: str) -> tuple[int, ...]:
    if command == str(BESIDE):
        with suppress(PackageNotFoundError):
            return tuple(map(int, version("awscli").split(".")))  # to ask the command takes a second
    done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60)
    found = re.match(r"aws-cli/(\d+)\.(\d+)\.(\d+)", done.stdout + done.stderr)
    return tuple(map(int, found.groups())) if found else ()


def aws_cli(major: int, since: tuple[int, ...] = JSON_SINCE) -> str:
    """The command of a major version of the AWS CLI. Skips the test if this machine has none, or an older one."""
    on_path, of_system = shutil.which("aws"), shutil.which("aws", path="/usr/bin:/bin")
    for command in (str(BESIDE) if BESIDE.exists() else None, on_path, of_system):
        if command and (found := _version(command)) and found[0] == major:
            if major == 2 and found < since:
                pytest.skip(f"AWS CLI {'.'.join(map(str, found))} is older than {'.'.join(map(str, since))}")
            return command
    pytest.skip(f"the AWS CLI v{major} is not installed")


def run_aws(
    major: int,
    home: Path,
    region: str,
    *arguments: str,
    keys: Mapping[str, str] = KEYS,
    since: tuple[int, ...] = JSON_SINCE,
) -> Any:
    """The JSON that a command of the AWS CLI prints; None if it prints nothing."""
    done = subprocess.run(
        [aws_cli(major, since), *arguments, "--output", "json", "--region", region],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "AWS_PAGER": "", **keys},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None
