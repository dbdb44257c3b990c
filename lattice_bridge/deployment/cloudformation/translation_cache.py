"""The translations of SAM templates that this user's machine has made already.

Rule: a translation depends only on the template, its parameters, the region, and the translator's version, and these
are its key. Only this user can read and write the folder. A file that cannot be used is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.regular_file import BadFile, read_regular_text

_MAX_BYTES: Final = 32 * 1024 * 1024
_MAX_FILES: Final = 32
"""The oldest files are removed."""


class TranslationCache:
    """The translations in a folder.

    Args:
        folder: made if there is none. If another user may write to it, or if it is a link, which another user may have
            made, nothing is read and nothing is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def key(self, *inputs: Any) -> str | None:
        """The key of a translation; None if its inputs have no JSON."""
        try:
            return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
        except (TypeError, ValueError):
            return None

    def get(self, key: str) -> dict[str, Any] | None:
        """What `put` has stored; None if there is nothing."""
        try:
            found = json.loads(read_regular_text(self._folder / f"{key}.json", _MAX_BYTES)) if self._is_own() else None
        except (BadFile, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Stores a value, if the folder can be used, in one step."""
        with contextlib.suppress(OSError, TypeError, ValueError):
            text = json.dumps(value)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_own():
                return
            descriptor, name = tempfile.mkstemp(suffix=".new", dir=self._folder)  # for this user only
            os.close(descriptor)
            Path(name).write_text(text, encoding="utf-8")
            Path(name).replace(self._folder / f"{key}.json")
            by_age = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in by_age[:-_MAX_FILES]:
                path.unlink()

    def _is_own(self) -> bool:
        try:
            found = self._folder.lstat()
        except OSError:
            return False
        is_private = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return is_private and stat.S_ISDIR(found.st_mode)
