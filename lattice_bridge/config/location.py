"""Where the environment says that the configuration is.

Rule: nothing is read here before it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lattice_bridge.config.document import read_text
from lattice_bridge.config.stores import Source, source_of
from lattice_bridge.errors import InvalidMap

CONFIG_VARIABLE: Final = "LATTICE_BRIDGE_CONFIG"
FUNCTION_VARIABLE: Final = "LATTICE_BRIDGE_FUNCTION"

_ADDRESSES: Final = ("s3:", "ssm:")


@dataclass(frozen=True, slots=True)
class Place:
    """A configuration's place.

    Attributes:
        source: reads it.
        folder: what files that it names are relative to.
        function: replaces the default backend's.
        region: where AWS is asked for what the configuration names; boto3's own if None.
        file: the configuration, if it is in the file system.
    """

    source: Source
    folder: Path
    function: str | None = None
    region: str | None = None
    file: Path | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Place:
        """What LATTICE_BRIDGE_CONFIG names: a file (default: bridge.toml; relative to LAMBDA_TASK_ROOT, else to here),
        `s3://bucket/key`, or `ssm:/name`.

        Raises:
            InvalidMap: it begins as an address does, and is none.
        """
        root, named = Path(environ.get("LAMBDA_TASK_ROOT", ".")), environ.get(CONFIG_VARIABLE) or "bridge.toml"
        file = None if named.startswith(_ADDRESSES) else root / named
        folder = file.parent if file else root
        region = environ.get("AWS_REGION")  # which boto3 by itself does not read
        return cls(source_of(named, root, region=region), folder, environ.get(FUNCTION_VARIABLE), region, file)

    def read(self) -> str:
        """The configuration's text.

        Raises:
            Unavailable: it is not there, or cannot be read.
        """
        found = self.source.read(None)
        return found.text if found else ""

    def twin(self) -> str | None:
        """The text of the compiled file beside the configuration, `bridge.json` for `bridge.toml`, if there is one."""
        if self.file is None or self.file.suffix != ".toml":
            return None
        try:
            return read_text(self.file.with_suffix(".json"))
        except InvalidMap:
            return None
