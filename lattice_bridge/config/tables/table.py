"""The tables of a configuration file: their keys and types are checked, and faults name them as the file does.

Rule: pydantic is used in this folder only, and only to read TOML. It says which keys are wrong; the words are ours. A
key that cannot be read does not hide the faults of the others, and no fault is only a consequence of another.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from lattice_bridge.config.options import function_fault
from lattice_bridge.config.words import listed, nearest, quoted, shown, suggestion
from lattice_bridge.errors import Fault
from lattice_bridge.message import is_tenant_id

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]


SECRET: Final[dict[str, Any]] = {"writeOnly": True}
"""Marks a string whose value no message may quote, in the words of JSON Schema."""


class Table(BaseModel):
    """A table with known keys and strict types: a string is not a number, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    example: ClassVar[str | None] = None
    """For messages; None for an empty table, or one with the required keys."""


_Model = TypeVar("_Model", bound=Table)


class Reader:
    """Reads the tables of one configuration, and collects their faults.

    Attributes:
        faults: every fault found.
        unread_tables: tables that cannot be read, in brackets: `[jwt]`. Faults that follow from this are left out.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.unread_tables: set[str] = set()
        self._unread: dict[Path, frozenset[str]] = {}

    def add(self, where: str, path: Path, found: Iterable[Fault]) -> bool:
        """Adds faults of the table at a path, except those that are consequences of keys that could not be read.

        Returns:
            Whether the table has no fault at all.
        """
        unread = self._unread.get(path, frozenset())
        new = [fault for fault in found if not self._follows(fault, unread)]
        self.faults += [fault.within(where, path) for fault in new]
        return not new and not unread

    def _follows(self, fault: Fault, unread: frozenset[str]) -> bool:
        """Whether a fault is a consequence of something that could not be read."""
        keys = {*map(str, (fault.path or ())[:1]), *fault.given}
        return not (unread.isdisjoint(keys) and self.unread_tables.isdisjoint(keys))

    def fit(self, model: type[_Model], table: object, where: str, path: Path) -> _Model | None:
        """The table as `model`. A key that cannot be read has its default, or an empty value, and a fault; `add` then
        leaves out the faults that follow from it. None if it is not a table."""
        try:
            return model.model_validate(table)
        except ValidationError as error:
            if not isinstance(table, Mapping):
                self.faults.append(Fault(f"{where}: {_not_a_table(model, table, path)}", path))
                return None
            wrong = {str(found["loc"][0]) for found in error.errors(include_url=False, include_input=False)}
        found_faults = list(_faults_of(model, table, wrong))
        if not found_faults:  # pydantic refused it, and no message here describes it: it must not load
            keys = listed(wrong)
            found_faults = [
                Fault(f"{keys}: cannot be read. Fix: compare it with the output of `lattice-bridge schema`")
            ]
        self.faults += [fault.within(where, path) for fault in found_faults]
        self._unread[path] = frozenset(wrong | {one for fault in found_faults for one in fault.given})
        return model.model_construct(**_readable(model, table, wrong))

    def each(self, model: type[_Model], value: object, name: str) -> dict[int, _Model]:
        """An array of tables by index; each is named in faults by its `id` or the like, or else by its number."""
        if not isinstance(value, list):
            self.faults.append(Fault(f"{name}: {_not_an_array(name, value)}", (name,)))
            self.unread_tables.add(f"[{name}]")
            return {}
        found = {
            index: self.fit(model, table, f"{name} {label(table, index)}", (name, index))
            for index, table in enumerate(value)
        }
        return {index: table for index, table in found.items() if table is not None}

    def named(self, model: type[_Model], value: object, name: str) -> dict[str, _Model]:
        """A table of tables, by name."""
        if not isinstance(value, Mapping):
            self.faults.append(Fault(f"{name}: {quoted(value)} is not a table. Fix: write [{name}]", (name,)))
            self.unread_tables.add(f"[{name}]")
            return {}
        found = {key: self.fit(model, table, f"{name} {quoted(key)}", (name, key)) for key, table in value.items()}
        return {key: table for key, table in found.items() if table is not None}


def label(table: object, index: int) -> str:
    """The name of one table of an array in messages."""
    for key in ("id", "path", "arn", "access_key"):
        if isinstance(table, Mapping) and isinstance(table.get(key), str) and table[key]:
            return quoted(table[key])
    return f"number {index + 1}"


def fields_of(model: type[Table]) -> dict[str, FieldInfo]:
    """The fields of a table by their keys in TOML, which may be words that Python reserves."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def unknown_key(key: str, known: Iterable[str]) -> Fault:
    """The fault for an unknown key, with the nearest known one, or else all of them."""
    names = list(known)
    near = nearest(key, names)
    hint = f"did you mean {near}?" if near else f"known keys: {listed(names)}"
    return Fault(f"{shown(key)}: unknown key; {hint}", (key,), at_key=True, given=(near,) if near else ())


def _not_a_table(model: type[Table], value: object, path: Path) -> str:
    required = [name for name, field in fields_of(model).items() if field.is_required()]
    body = model.example or (f"{{ {', '.join(f'{name} = …' for name in required)} }}" if required else "{}")
    if isinstance(path[-1], str) and len(path) == 1:
        fix = f"[{path[0]}]"
    else:
        fix = f"{shown(path[-1])} = {body}" if isinstance(path[-1], str) else f"[[{path[0]}]]"
    return f"{quoted(value)} is not a table. Fix: write {fix}"


def _not_an_array(name: str, value: object) -> str:
    what = f"[{name}] is one table" if isinstance(value, Mapping) else f"{quoted(value)} is not an array of tables"
    return f"{what}. Fix: write [[{name}]], with two brackets"


def function_faults(function: str) -> Iterator[Fault]:
    """Everything wrong with the key `function`."""
    if function_fault(function):
        what = f"function {quoted(function)} is not a Lambda function name or ARN"
        yield Fault(f"{what}. Fix: write its name or its ARN, with an optional :ALIAS", ("function",))


class OwnNames:
    """Names in the map itself, so that an example in a message is the user's own. They are read when the first fault
    asks for them.

    Args:
        tables: of the configuration, as it is written.
    """

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._tables = tables
        self._nearest: dict[tuple[str, str], str | None] = {}

    @cached_property
    def partition_and_account(self) -> tuple[str, str]:
        """Those of the first ARN in a rule, or its first account; `aws` and `ACCOUNT` if there is none."""
        accounts: list[str] = []
        rules = self._tables.get("rule")
        for table in rules if isinstance(rules, list) else ():
            for value in table.values() if isinstance(table, Mapping) else ():
                found = _OWN_ARN.match(value) if isinstance(value, str) else None
                if found is not None:
                    return found[1], found[2]
                accounts += re.findall("^[0-9]{12}$", value) if isinstance(value, str) else ()
        return "aws", next(iter(accounts), "ACCOUNT")

    @cached_property
    def tenants(self) -> list[str]:
        """The names in `[tenants]`."""
        tenants = self._tables.get("tenants")
        return [name for name in tenants if is_tenant_id(name)] if isinstance(tenants, Mapping) else []

    @cached_property
    def issuers(self) -> list[str]:
        """The names of the `[jwt.…]` tables, also of those with faults."""
        issuers = self._tables.get("jwt")
        return list(issuers) if isinstance(issuers, Mapping) else []

    def tenant(self) -> str:
        """A tenant of the map, in quotes."""
        return quoted(self.tenants[0]) if self.tenants else '"…"'

    def issuer(self) -> str:
        """An issuer of the map, in quotes."""
        return quoted(self.issuers[0]) if self.issuers else '"…"'

    @cached_property
    def event_sources(self) -> dict[str, None]:
        """The ARNs in `[[event_source]]` tables, also of those with faults, in the order of the file."""
        sources = self._tables.get("event_source")
        tables = sources if isinstance(sources, list) else ()
        arns = [table.get("arn") for table in tables if isinstance(table, Mapping)]
        return dict.fromkeys(arn for arn in arns if isinstance(arn, str))

    def nearest_tenant(self, word: str) -> str | None:
        """The tenant that was probably meant."""
        return self._nearest_of("tenant", word, self.tenants)

    def nearest_event_source(self, arn: str) -> str | None:
        """The event source that was probably meant. ARNs of different queues have most characters in common."""
        return self._nearest_of("event_source", arn, self.event_sources, 0.95)

    def _nearest_of(self, kind: str, word: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
        """A word that many rules have is compared once. Of very many wrong words, only the first ones are compared:
        each comparison takes up to a hundred milliseconds."""
        if (kind, word) not in self._nearest and len(self._nearest) < _MOST_SUGGESTIONS:
            self._nearest[kind, word] = nearest(word, known, cutoff)
        return self._nearest.get((kind, word))

    def arn(self, kind: str, written: str, service: str = "iam") -> str:
        """The ARN of a principal that was written in another form: with the account in it, or else that of the map."""
        partition, account = self.partition_and_account
        if found := _ANY_ARN.match(written):
            partition, account = found[1], found[2]
        elif found := re.search(r"(?<![0-9])[0-9]{12}(?![0-9])", written):
            account = found[0]
        arn = f"arn:{partition}:{service}::{account}:{kind}"
        if kind == "root":
            return arn
        resource = written.rpartition(":")[2]
        parts = [_NOT_A_NAME.sub("", part) for part in resource.split("/")]
        if parts[0] in ("role", "assumed-role", "user", "federated-user") and len(parts) > 1:
            parts = parts[1:2] if parts[0] == "assumed-role" else parts[-1:]
        return f"{arn}/{parts[-1] or 'NAME'}"


_MOST_SUGGESTIONS: Final = 20
_OWN_ARN: Final = re.compile(r"arn:(aws[a-z-]*):(?:iam|sts)::([0-9]{12}):")
_ANY_ARN: Final = re.compile(r"arn:(aws[a-z-]*):[a-z-]*:[^:]*:([0-9]{12}):")
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9_+=,.@-]")


# ---- keys -----------------------------------------------------------------------------------------------------------


def _faults_of(model: type[Table], table: Mapping[str, Any], wrong: Iterable[str]) -> Iterator[Fault]:
    """The faults of the wrong keys of a table, in the order of the file; a missing key comes last."""
    fields = fields_of(model)
    unknown = {key: unknown_key(key, fields) for key in table if key not in fields}
    meant = {key for fault in unknown.values() for key in fault.given}
    for key in table:
        if key in unknown:
            yield unknown[key]
        elif key in wrong:
            field = fields[key]
            if field.json_schema_extra == SECRET:
                yield Fault(f'{key}: is not a string. Fix: write {key} = "…"', (key,))
            else:
                yield from (_at(key, fault) for fault in _value_faults(key, field, table[key]))
    for key, field in fields.items():
        if field.is_required() and key not in table and key not in meant:
            kind = '["…"]' if get_origin(field.annotation) in (list, tuple) else '"…"'
            if get_origin(field.annotation) is Literal:
                kind = quoted(get_args(field.annotation)[0])
            kind = "true" if field.annotation is bool else kind
            purpose = f": {_phrase(field.description)}" if field.description else ""
            yield Fault(f"has no {key}{purpose}. Fix: write {key} = {kind}", given=(key,))


def _phrase(description: str) -> str:
    """A description as the end of a sentence."""
    first, rest = description[:2], description[2:].rstrip(".")
    return (first.lower() if first[1:].islower() or first[1:] == " " else first) + rest


def _at(key: str, fault: Fault) -> Fault:
    return fault._replace(text=f"{key}: {fault.text}", path=(key, *(fault.path or ())))


def _readable(model: type[Table], table: Mapping[str, Any], wrong: set[str]) -> dict[str, Any]:
    """The values that can be read, and an empty one for each required key that cannot."""
    fields = fields_of(model)
    kept = {key: table[key] for key in fields if key in table and key not in wrong}
    for key, value in kept.items():
        kinds = _kinds(fields[key])
        if _is_table(kinds[0]):
            kept[key] = kinds[0].model_validate(value)
        elif get_origin(kinds[0]) is tuple:
            kept[key] = tuple(value)
    empty = {
        key: _EMPTY.get(get_origin(field.annotation) or field.annotation, "")
        for key, field in fields.items()
        if field.is_required() and key not in kept
    }
    return {**kept, **empty}


_EMPTY: Final[Mapping[Any, Any]] = {list: [], tuple: (), bool: False}


# ---- values ---------------------------------------------------------------------------------------------------------

_STRING_LIST: Final = "a list of strings"


def _kinds(field: FieldInfo) -> list[Any]:
    """The types that a key accepts, without None."""
    annotation = field.annotation
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return [option for option in options if option is not types.NoneType]


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)


def _value_faults(key: str, field: FieldInfo, value: object) -> Iterator[Fault]:
    """What is wrong with the value of a key that pydantic refused."""
    kinds = _kinds(field)
    lists = [kind for kind in kinds if get_origin(kind) in (list, tuple)]
    if lists and isinstance(value, list):
        yield from _element_faults(get_args(lists[0])[0], value)
    elif _is_table(kinds[0]) and isinstance(value, Mapping):
        reader = Reader()
        reader.fit(kinds[0], value, "", ())
        yield from (fault._replace(text=fault.text.removeprefix(": ")) for fault in reader.faults)
    elif get_origin(kinds[0]) is dict and isinstance(value, Mapping):
        for name, entry in value.items():
            if not isinstance(entry, Mapping):
                yield Fault(f"{shown(name)}: {quoted(entry)} is not a table. Fix: write {shown(name)} = {{}}", (name,))
    else:
        yield Fault(_wrong_value(key, kinds, field, value))


def _element_faults(kind: Any, value: list[Any]) -> Iterator[Fault]:
    for index, element in enumerate(value):
        if get_origin(kind) is Literal:
            if not isinstance(element, str) or element not in get_args(kind):
                yield Fault(_not_one_of(element, get_args(kind)), (index,))
        elif not isinstance(element, str):
            yield Fault(f"{quoted(element)} is not a string. Fix: {_string_fix(element)}", (index,))


def _wrong_value(key: str, kinds: list[Any], field: FieldInfo, value: object) -> str:
    if get_origin(kinds[0]) is Literal:
        return _not_one_of(value, get_args(kinds[0]))
    if _is_table(kinds[0]):
        return _not_a_table(kinds[0], value, ("", key))
    if bool in kinds:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return f"{quoted(value)} is a string. Fix: write {key} = {value.lower()}, without quotes"
        return f"{quoted(value)} is neither true nor false. Fix: write {key} = true or {key} = false"
    if float in kinds or int in kinds:
        return _wrong_number(key, field, value, "a whole number" if int in kinds else "a number")
    if str in kinds:
        return _wrong_string(key, kinds, field, value)
    if get_origin(kinds[0]) is dict:
        return f"{quoted(value)} is not a table. Fix: write {key} = {{}}"
    if not isinstance(value, str):
        return f'{quoted(value)} is not {_STRING_LIST}. Fix: write {key} = ["…"]'
    elements = value.split(".") if key == "path" else [value]  # one for each level
    return f"{quoted(value)} is not {_STRING_LIST}. Fix: write {key} = [{', '.join(map(quoted, elements))}]"


def _not_one_of(value: object, accepted: tuple[str, ...]) -> str:
    every = f"write {'one of ' if len(accepted) > 1 else ''}{listed(accepted)}"
    hint = suggestion(value, accepted, every) if isinstance(value, str) else f". Fix: {every}"
    fix = "" if hint.startswith(".") else f" Accepted: {listed(accepted)}"
    return f"{quoted(value)} is not an accepted value{hint}{fix}"


def _wrong_number(key: str, field: FieldInfo, value: object, kind: str) -> str:
    low, high = (
        next((getattr(one, name) for one in field.metadata if hasattr(one, name)), None) for name in ("ge", "le")
    )
    between = f"from {low:g} to {high:g}" if low is not None and high is not None else ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{quoted(value)} is not {kind} {between}. Fix: write one in this range"
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return f"{quoted(value)} is a string. Fix: write {key} = {number:g}, without quotes"
    return f"{quoted(value)} is not {kind}. Fix: write one {between}, without quotes"


def _wrong_string(key: str, kinds: list[Any], field: FieldInfo, value: object) -> str:
    if isinstance(value, str):
        most = next((one.max_length for one in field.metadata if getattr(one, "max_length", None)), None)
        if not value:
            purpose = f": {_phrase(field.description)}" if field.description else ""
            return f'"" is empty{purpose}. Fix: write {key} = "…"'
        return f"has {len(value)} characters. Fix: write {most} at most"
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return f"{quoted(value)} is a list. Fix: write {key} = {quoted(value[0])}, without brackets"
    what = f"neither a string nor {_STRING_LIST}" if len(kinds) > 1 else "not a string"
    return f"{quoted(value)} is {what}. Fix: {_string_fix(value, key)}"


def _string_fix(value: object, key: str | None = None) -> str:
    if isinstance(value, Mapping | list):
        return "write one string, in quotes"
    written = quoted(str(value).lower() if isinstance(value, bool) else str(value))
    return f"write {f'{key} = ' if key else ''}{written}, in quotes"
