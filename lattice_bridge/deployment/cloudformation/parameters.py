"""A template's parameters, and the values they have.

Rule: a value is text, as CloudFormation has it, or a list of texts.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.fault import BadTemplate
from lattice_bridge.deployment.cloudformation.values import as_text, marker, without_dynamic

_LISTS: Final = ("CommaDelimitedList", "List<")
_MOST: Final = 4096
"""Characters of a value, as in CloudFormation."""
_MOST_STEPS: Final = 10**8
_IN_SSM: Final = "AWS::SSM::Parameter::Value"


def values_of(declared: Mapping[str, Any], given: Mapping[str, str], *, deployed: bool) -> dict[str, Any]:
    """What each parameter comes to.

    Args:
        declared: the section Parameters.
        given: values; the others have their defaults.
        deployed: what stands in SSM is unresolved. Otherwise the parameter's own text stands for it.

    Raises:
        BadTemplate: one has no value, or one that is not allowed; or there is no such parameter.
    """
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise BadTemplate(f"no parameter {unknown[0]} in the template; it has {', '.join(declared) or 'none'}")
    return {name: _value(name, declaration, given, deployed=deployed) for name, declaration in declared.items()}


def _fault(text: str, declaration: Mapping[str, Any]) -> str | None:
    """What CloudFormation has against a value, or a part of a list; None if nothing."""
    allowed = [as_text(option) for option in declaration.get("AllowedValues") or []]
    if allowed and text not in allowed:
        return f"is not one of {', '.join(allowed)}"
    if str(declaration.get("Type")) in ("Number", "List<Number>"):
        try:
            number = float(text)
        except ValueError:
            return "is no number"
        least, most = declaration.get("MinValue", "-inf"), declaration.get("MaxValue", "inf")
        if not float(least) <= number <= float(most):
            return f"is not between {least} and {most}"
    if not int(declaration.get("MinLength", 0)) <= len(text) <= int(declaration.get("MaxLength", len(text))):
        least, most = declaration.get("MinLength", 0), declaration.get("MaxLength", "any number")
        return f"has {len(text)} characters, and may have {least} to {most}"
    pattern = declaration.get("AllowedPattern")
    with contextlib.suppress(re.error, FutureWarning), warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # Java's, of which Python does not know all, or takes otherwise
        if pattern is not None and _is_quick(str(pattern), text) and not re.fullmatch(str(pattern), text):
            return f"does not match {pattern}"
    return None


def _is_quick(pattern: str, text: str) -> bool:
    """Whether a pattern can be tried. Python may need years for `(a+)+b`; such a pattern is left to AWS.

    Each repetition may take any number of the text's characters, and each choice doubles the ways to read it.
    """
    loops = len(re.findall(r"[*+]|\{[0-9]*,[0-9]*\}", pattern))
    choices = len(re.findall(r"[?|]", pattern))
    nested = re.search(r"\)[*+{]", pattern) is not None
    return not nested and (len(text) + 1) ** min(loops, 30) * 2 ** min(choices, 30) <= _MOST_STEPS


def _value(name: str, declaration: Mapping[str, Any], given: Mapping[str, str], *, deployed: bool) -> Any:
    value = given.get(name, declaration.get("Default"))
    if value is None:
        raise BadTemplate(f"parameter {name} has no default; give it with --parameter {name}=…")
    kind = str(declaration.get("Type"))
    is_list = any(one in kind for one in _LISTS)
    if len(as_text(value)) > _MOST:
        raise BadTemplate(f"parameter {name}: has {len(as_text(value)):,} characters. Fix: give {_MOST:,} at most")
    parts = [part.strip() for part in as_text(value).split(",")] if is_list else [as_text(value)]
    for part in parts:
        if (fault := _fault(part, declaration)) is not None:
            raise BadTemplate(f"parameter {name}: {part!r} {fault}")
    if deployed and kind.startswith(_IN_SSM):
        return marker(f"SSM parameter {value}")
    if deployed:
        parts = [without_dynamic(part) for part in parts]
    if is_list:
        return parts
    return parts[0] if isinstance(value, bool | str) else value
