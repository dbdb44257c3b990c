"""The content of a module of the package, as far as tests ask for it.

Rule: a file is parsed once for all tests of a process. Its tree is not kept: all trees have half a million nodes.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file.

    Attributes:
        imports: the statements, at any depth of indentation.
        calls: the names of what it calls, as `open` and `os.open`; what is no name is `…`, as in `….open`.
        functions: their names, each with its number of lines.
        texts: its string constants.
        reasons: the constants that it gives as an argument `reason`.
    """

    imports: tuple[ast.Import | ast.ImportFrom, ...]
    calls: frozenset[str]
    functions: tuple[tuple[str, int], ...]
    texts: frozenset[str]
    reasons: frozenset[str]


@cache
def source(path: Path) -> Source:
    """What a file contains."""
    imports: list[ast.Import | ast.ImportFrom] = []
    calls, texts, reasons, functions = set[str](), set[str](), set[str](), list[tuple[str, int]]()
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import() | ast.ImportFrom():
                imports.append(node)
            case ast.Call():
                calls.add(_dotted(node.func))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                functions.append((node.name, (node.end_lineno or 0) - node.lineno + 1))
            case ast.Constant(value=str() as text):
                texts.add(text)
            case ast.keyword(arg="reason", value=ast.Constant(value=value)):
                reasons.add(str(value))
    return Source(tuple(imports), frozenset(calls), tuple(functions), frozenset(texts), frozenset(reasons))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "…"
