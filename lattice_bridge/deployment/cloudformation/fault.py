"""What is wrong with a template that cannot be read.

Rule: whatever breaks while a template is read is the template's fault, and is told with its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class BadTemplate(Exception):
    """The template cannot be read, or refers to what is not there. The message says where, and what to do."""


@contextmanager
def malformed(place: str) -> Iterator[None]:
    """Whatever breaks while a part of a template is read is that part's fault, and told as such."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, StopIteration) as error:
        what = f"{type(error).__name__}: {str(error)[:200]}"
        raise BadTemplate(f"{place}: malformed, not of the shape that CloudFormation documents ({what})") from error
