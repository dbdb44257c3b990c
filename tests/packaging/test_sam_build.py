"""`sam build` in a user's repository, with the target of the Makefile that docs/operations.md shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  BridgeFunction:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: makefile}
    Properties:
      CodeUri: .
      Handler: lattice_bridge.main.handler
      Runtime: python3.13
      Architectures: [arm64]
"""


@pytest.mark.skipif(shutil.which("sam") is None, reason="the SAM CLI is not installed: no `sam` on the PATH")
@pytest.mark.timeout(600)  # pip downloads the dependencies
def test_sam_builds_the_bridge_in_a_users_repository(tmp_path: Path) -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    makefile = operations.partition("```make\n")[2].partition("```")[0]
    for name, text in (("Makefile", makefile), ("template.yaml", TEMPLATE)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "bridge.toml", tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(["sam", "build"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = tmp_path / ".aws-sam" / "build" / "BridgeFunction"
    assert {"bridge.toml", "bridge.json", "lattice_bridge", "pydantic"} <= {path.name for path in built.iterdir()}
    assert not (built / "Makefile").exists()
