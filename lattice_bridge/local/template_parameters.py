"""A template's parameters, and the values they have.

Rule: a value is text, as CloudFormation has it, or a list of texts.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.local.template_fault import BadTemplate
from lattice_bridge.local.template_values import as_text, marker

_LISTS: Final = ("CommaDelimitedList", "List<")
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
    with contextlib.suppress(re.error):  # Java's, of which Python does not know all
        if pattern is not None and not re.fullmatch(str(pattern), text):
            return f"does not match {pattern}"
    return None


def _value(name: str, declaration: Mapping[str, Any], given: Mapping[str, str], *, deployed: bool) -> Any:
    value = given.get(name, declaration.get("Default"))
    if value is None:
        raise BadTemplate(f"parameter {name} has no default; give it with --parameter {name}=…")
    allowed = [as_text(option) for option in declaration.get("AllowedValues") or []]
    if allowed and as_text(value) not in allowed:
        raise BadTemplate(f"parameter {name}: {as_text(value)!r} is not one of {', '.join(allowed)}")
    kind = str(declaration.get("Type"))
    for part in str(value).split(",") if any(one in kind for one in _LISTS) else [as_text(value)]:
        if (fault := _fault(part.strip(), declaration)) is not None:
            raise BadTemplate(f"parameter {name}: {part.strip()!r} {fault}")
    if deployed and kind.startswith(_IN_SSM):
        return marker(f"SSM parameter {value}")
    if any(one in kind for one in _LISTS):
        return [part.strip() for part in as_text(value).split(",")]
    return as_text(value) if isinstance(value, bool) else value
