"""The tables of a configuration file: their keys and types are checked, and faults name them as the file does.

Rule: pydantic is used in this folder only, and only to read TOML. A table that does not fit is reported and left out,
so that the faults of the others are found as well.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Table(BaseModel):
    """A table with known keys and strict types: a string is not a number, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_Model = TypeVar("_Model", bound=Table)


def fit(model: type[_Model], table: object, where: str, faults: list[str]) -> _Model | None:
    """The table as `model`; None if it does not fit, with every reason added to `faults`."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False):
            # For a union, pydantic also names the branch that it tried. The file does not contain that step.
            keys = [str(step) for step in found["loc"] if isinstance(step, int) or step in model.model_fields]
            if found["type"] == "extra_forbidden":
                faults.append(unknown_key(f"{where}: {found['loc'][-1]}", str(found["loc"][-1]), model.model_fields))
            else:
                is_no_table = found["type"] == "model_type"
                fault = "is not a table. Fix: write it as in { key = … }" if is_no_table else found["msg"]
                faults.append(": ".join([where, *keys, fault]))
        return None


def unknown_key(where: str, key: str, known: Iterable[str]) -> str:
    """The fault for an unknown key, with the nearest known one, or else all of them."""
    near = difflib.get_close_matches(key, list(known), 1)
    return f"{where}: unknown key; " + (
        f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
    )


def fit_each(model: type[_Model], value: object, name: str, faults: list[str]) -> list[_Model]:
    """An array of tables; each is named in faults by its `id` or `path`, or else by its number."""
    if not isinstance(value, list):
        faults.append(f"{name}: is not an array of tables. Fix: write [[{name}]], with two brackets")
        return []
    found = [fit(model, table, f"{name} {_label(table, number)}", faults) for number, table in enumerate(value, 1)]
    return [table for table in found if table is not None]


def fit_named(model: type[_Model], value: object, name: str, faults: list[str]) -> dict[str, _Model]:
    """A table of tables, by name."""
    if not isinstance(value, Mapping):
        faults.append(f"{name}: is not a table. Fix: write [{name}]")
        return {}
    found = {key: fit(model, table, f"{name}: {key}", faults) for key, table in value.items()}
    return {key: table for key, table in found.items() if table is not None}


def _label(table: object, number: int) -> str:
    for key in ("id", "path"):
        if isinstance(table, Mapping) and isinstance(table.get(key), str):
            return f'"{table[key]}"'
    return f"number {number}"
