"""The location of the configuration, as the environment gives it.

Rule: nothing is read before it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from lattice_bridge.config.document import read_text
from lattice_bridge.config.stores import Store, store_at
from lattice_bridge.errors import InvalidMap

CONFIG_VARIABLE: Final = "LATTICE_BRIDGE_CONFIG"
FUNCTION_VARIABLE: Final = "LATTICE_BRIDGE_FUNCTION"

_ADDRESSES: Final = ("s3:", "ssm:")


class Location(NamedTuple):
    """The location of a configuration, and the settings that the environment adds to it.

    Attributes:
        store: contains the configuration's text.
        folder: files that the configuration names are relative to it.
        function: replaces the function of the default backend.
        region: of the AWS services that the configuration names; boto3's own if None.
        file: the configuration, if it is a file.
        name: of the configuration in messages: the path or address as it was given.
    """

    store: Store
    folder: Path
    function: str | None = None
    region: str | None = None
    file: Path | None = None
    name: str = "bridge.toml"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Location:
        """The location in LATTICE_BRIDGE_CONFIG: a file, `s3://bucket/key`, or `ssm:/name`.

        The default is bridge.toml. A relative path begins at LAMBDA_TASK_ROOT, or else at the current folder.

        Raises:
            InvalidMap: a malformed address.
        """
        root, address = Path(environ.get("LAMBDA_TASK_ROOT", ".")), environ.get(CONFIG_VARIABLE) or "bridge.toml"
        file = None if address.startswith(_ADDRESSES) else root / address
        folder = file.parent if file else root
        region = environ.get("AWS_REGION")  # boto3 does not read this variable
        function = environ.get(FUNCTION_VARIABLE)
        return cls(store_at(address, root, region=region), folder, function, region, file, address)

    def read(self) -> str:
        """The configuration's text.

        Raises:
            Unavailable: `config_unreachable`: it is not there, or cannot be read.
        """
        found = self.store.read(None)
        return found.text if found else ""

    def read_compiled(self) -> str | None:
        """The text of the compiled file beside the configuration, `bridge.json` for `bridge.toml`, if there is one."""
        if self.file is None or self.file.suffix != ".toml":
            return None
        try:
            return read_text(self.file.with_suffix(".json"))
        except InvalidMap:
            return None
