"""The commands, called in this process, and the files that they read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from lattice_bridge.cli.root import root


def read(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(root, list(arguments), input=stdin, catch_exceptions=False)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def explained(path: str, *arguments: str, event: Any = None) -> dict[str, Any]:
    given = ("-",) if event is not None else ()
    done = read("explain", "--map", path, "--json", *arguments, *given, stdin=json.dumps(event))
    found: dict[str, Any] = json.loads(done.output)
    assert done.exit_code == (0 if found["allowed"] else 1)
    return found
