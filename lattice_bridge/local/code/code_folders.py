"""Makes folders of all code: zips and single files are unpacked, inline code is written, layers are merged.

Rule: the folders are in the stack's own folder, and each version of a code has its own. So a process that runs keeps
its code, and a function without a change is equal to what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from lattice_bridge.config.regular_file import BadFile, read_head, read_regular_file
from lattice_bridge.local.code.code_faults import inline_file
from lattice_bridge.local.code.code_zip import MAX_BYTES, BadArchive, unpack
from lattice_bridge.local.code.layers import merge
from lattice_bridge.local.plan.model import Function, Plan

_ZIP: Final = b"PK"


class CodeFolders:
    """The folders that a stack makes of its functions' code.

    Args:
        folder: of the stack.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[object, Path] = {}
        self._tried = 0

    def made(self, plan: Plan) -> Plan:
        """A plan with the code and the layers of all functions in folders, and with complete commands.

        Raises:
            BadArchive: a zip cannot be unpacked.
        """
        return replace(plan, functions={name: self._ready(function) for name, function in plan.functions.items()})

    def _ready(self, function: Function) -> Function:
        code = function.code
        if function.inline is not None:
            code = self._inline(function.inline, inline_file(function))
        elif code.is_file():
            code = self._unpacked(code)
        layers = tuple(self._unpacked(layer) if layer.is_file() else layer for layer in function.layers)
        return with_command(replace(function, code=code, layers=self._with_merged(layers)))

    def _inline(self, text: str, name: str) -> Path:
        def write(folder: Path) -> None:
            folder.mkdir(mode=0o755)
            (folder / name).write_text(text, encoding="utf-8")

        return self._once((name, text), "code", write)

    def _unpacked(self, file: Path) -> Path:
        found = file.stat()
        return self._once((file, found.st_mtime_ns, found.st_size), "code", lambda folder: _unpack(file, folder))

    def _with_merged(self, layers: tuple[Path, ...]) -> tuple[Path, ...]:
        """Adds a folder with all layers merged. The others stay, since a change of their files restarts functions."""
        if len(layers) < 2:
            return layers
        return (*layers, self._once(layers, "opt", lambda folder: merge(layers, folder)))

    def _once(self, version: object, name: str, make: Callable[[Path], None]) -> Path:
        if version not in self._found:
            self._tried += 1
            folder = self._folder / f"{name}-{self._tried}"
            make(folder)
            self._found[version] = folder
        return self._found[version]


def with_command(function: Function) -> Function:
    """A function whose command has the folder of its code and its handler in place of `{code}` and `{handler}`."""
    words = (word.replace("{code}", str(function.code)) for word in function.command)
    return replace(function, command=tuple(word.replace("{handler}", function.handler) for word in words))


def _unpack(file: Path, folder: Path) -> None:
    """Unpacks a zip. A file of another kind is the only one of its folder, as `aws cloudformation package` makes it."""
    try:
        is_zip = read_head(file, len(_ZIP)) == _ZIP or file.suffix in (".zip", ".jar")
        if is_zip:
            unpack(file, folder)
            return
        content = read_regular_file(file, MAX_BYTES)
        folder.mkdir(mode=0o755)
        (folder / file.name).write_bytes(content)
        (folder / file.name).chmod(file.stat().st_mode & 0o555)
    except BadFile as error:
        raise BadArchive(str(error)) from error
