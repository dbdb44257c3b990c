"""The code of a function and its layers, as a template names them.

Rule: code is a path on this machine, or a text in the template. What is elsewhere, in S3, in an image or in another
account, is named with the reason, and nothing is downloaded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from lattice_bridge.config.regular_file import is_file, is_folder, real_path
from lattice_bridge.config.words import quoted, visible
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text
from lattice_bridge.local.plan.model import LeftOut

LAYERS: Final = ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")
"""The types of layers."""

_INLINE_RUNTIMES: Final = ("python", "nodejs")
_MOST: Final = 200
"""Characters of a layer's ARN that a sentence quotes."""
_LAYER: Final = re.compile(r"arn:[^:]*:lambda:[^:]*:(?P<account>[^:]*):layer:(?P<name>[^:]+)(?::[^:]*)?")


class NotLocal(Exception):
    """The code is not on this machine. The message is the reason, and a fix."""


class Code(NamedTuple):
    """The code of a function.

    Attributes:
        path: a folder, a zip, or a single file; the template's folder for inline code.
        inline: the text of inline code, or None.
    """

    path: Path
    inline: str | None = None


def find_code(resource: Resource, template: Template) -> Code:
    """Finds the code of a function.

    Raises:
        NotLocal: it is not on this machine.
    """
    properties = resource.properties
    code = properties.get("CodeUri", properties.get("Code", "."))
    if properties.get("PackageType") == "Image" or "ImageUri" in properties or _has(code, "ImageUri"):
        name = properties.get("FunctionName", resource.id)
        raise NotLocal(
            "it is a container image. Fix: run it yourself, as in `docker run -p 9002:8080 IMAGE`, and start with "
            f"--function {name}=http://127.0.0.1:9002"
        )
    inline = properties.get("InlineCode", code.get("ZipFile") if isinstance(code, Mapping) else None)
    if inline is not None:
        runtime = str(properties.get("Runtime", ""))
        if not runtime.startswith(_INLINE_RUNTIMES):
            raise NotLocal(f"Lambda has no inline code for Runtime {runtime}. Fix: write the code into a folder")
        return Code(template.folder.resolve(), as_text(inline))
    if not isinstance(code, str) or code.startswith("s3://"):
        raise NotLocal(f"its code is {_elsewhere(code)}. Fix: write the folder of its sources as CodeUri")
    path = template.folder / code
    if is_folder(path) or is_file(path):
        if not _is_readable(path):
            raise NotLocal(f"{quoted(code)} cannot be read. Fix: correct its permissions, or CodeUri")
        return Code(path.resolve())
    what = "file" if code.endswith((".zip", ".jar")) else "folder"
    raise NotLocal(f"there is no {what} {quoted(code)}. Fix: correct CodeUri, or run the build that makes it")


def _is_readable(path: Path) -> bool:
    """Whether a file can be read, or a folder listed and its files opened."""
    return os.access(path, os.R_OK | os.X_OK if is_folder(path) else os.R_OK)


def _may_be_built(path: Path) -> bool:
    """Whether a layer can be read, or does not exist yet, and can."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # a name that no file can have, or a folder above that may not be searched
        return False
    return _is_readable(path)


def _has(code: object, key: str) -> bool:
    return isinstance(code, Mapping) and key in code


def _elsewhere(code: Any) -> str:
    if _has(code, "S3Bucket") or _has(code, "Bucket") or isinstance(code, str):
        return "in S3, and nothing is downloaded"
    return "neither a local path nor inline"


class Layers:
    """The layers of a template.

    Attributes:
        paths: a folder or zip for each local layer, by logical id. It may not exist.
    """

    def __init__(self, template: Template, left_out: LeftOut) -> None:
        self._account = template.account
        self._names: dict[str, str] = {}
        self.paths: dict[str, Path] = {}
        for resource in template.of_type(*LAYERS):
            self._names[str(resource.properties.get("LayerName", resource.id))] = resource.id
            content = resource.properties.get("ContentUri", resource.properties.get("Content"))
            if not isinstance(content, str) or content.startswith("s3://"):
                left_out.add(f"a layer is not loaded: its content is {_elsewhere(content)}", resource.id)
            elif _may_be_built(path := template.folder / content):
                self.paths[resource.id] = real_path(path)
            else:
                left_out.add(f"a layer is not loaded: {quoted(content)} cannot be read", resource.id)

    def of(self, function: Resource, left_out: LeftOut) -> tuple[tuple[Path, ...], tuple[str, ...]]:
        """The paths of a function's local layers, and the ARNs of the others."""
        local: list[Path] = []
        remote: list[str] = []
        written = function.properties.get("Layers") or []
        for value in written if isinstance(written, list) else [written]:
            text = as_text(value)
            name = self._local(text)
            if name is None:
                remote.append(text)
                left_out.add(f"the layer {visible(text, _MOST)} is in AWS, and not loaded", function.id)
            elif name in self.paths:
                local.append(self.paths[name])
        return tuple(local), tuple(remote)

    def _local(self, text: str) -> str | None:
        """The logical id of the layer that a function refers to; None if the template does not have it."""
        found = _LAYER.fullmatch(text)
        name = text.partition(".")[0] if found is None else found["name"]  # `MyLayer.LayerVersionArn`: of GetAtt
        if found is not None and found["account"] != self._account:
            return None
        return name if name in self._names.values() else self._names.get(name)
