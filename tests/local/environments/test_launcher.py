"""The launcher, as it becomes the program of another runtime. The tests of storage.py have its mounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lattice_bridge.local.environments.storage import LAUNCHER


def launched(folder: Path, program: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    runtime = json.dumps({"command": [str(program), "a", "b c"], "variables": {"LD_LIBRARY_PATH": "/task/lib"}})
    command = [sys.executable, "-P", "-S", str(LAUNCHER), "app.handler", "", runtime]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


def test_program_gets_its_arguments_and_the_libraries_of_the_task_root(tmp_path: Path) -> None:
    """A value of the template comes first."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$1-$2 $LD_LIBRARY_PATH $WORD"; pwd; exit 7\n')
    program.chmod(0o755)
    environ = {"PATH": os.environ["PATH"], "WORD": "x"}
    done = launched(tmp_path, program, environ)
    assert (done.stdout, done.returncode) == (f"a-b c /task/lib x\n{tmp_path.resolve()}\n", 7)
    assert launched(tmp_path, program, {**environ, "LD_LIBRARY_PATH": "/mine"}).stdout.startswith("a-b c /mine x\n")


def test_program_that_the_kernel_refuses_is_named(tmp_path: Path) -> None:
    done = launched(tmp_path, tmp_path / "gone", {})
    assert (done.stderr, done.returncode) == (f"lattice-bridge: {tmp_path}/gone: No such file or directory\n", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not have these policies")
@pytest.mark.parametrize(("before", "after"), [("SCHED_OTHER", "SCHED_BATCH"), ("SCHED_IDLE", "SCHED_IDLE")])
def test_process_does_not_interrupt_the_stack_when_it_is_woken(tmp_path: Path, before: str, after: str) -> None:
    """A policy that a person has chosen for the stack is kept."""
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport os\nprint(os.sched_getscheduler(0))\n")
    program.chmod(0o755)
    command = [
        sys.executable,
        "-P",
        "-S",
        str(LAUNCHER),
        "app.handler",
        "",
        json.dumps({"command": [str(program)], "variables": {}}),
    ]

    def choose() -> None:
        os.sched_setscheduler(0, getattr(os, before), os.sched_param(0))

    done = subprocess.run(command, preexec_fn=choose, capture_output=True, text=True, check=True)
    assert int(done.stdout) == getattr(os, after)
