"""A round: one target, one seed, a number of examples.

Rule: a round depends only on these three, so that a round that failed can be repeated.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Check = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A target for one round.

    Attributes:
        examples: the values to try.
        check: raises if a value breaks the property.
        about: facts that a reader of a failure needs, such as the drawn map; or empty.
    """

    examples: SearchStrategy[Any]
    check: Check
    about: str = ""


Target = Callable[[int], Prepared]
"""Prepares a round with a seed."""


@dataclass(frozen=True, slots=True)
class Round:
    """A round to run. `target` is a name of `targets.TARGETS`."""

    target: str
    seed: int
    examples: int

    @property
    def command(self) -> str:
        """The command that repeats this round alone."""
        return f"python -m fuzz --only {self.target} --seed {self.seed} --examples {self.examples}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a round.

    Attributes:
        round: the round.
        examples: the number of examples tried.
        seconds: processor time.
        failure: the shrunk example and the error; empty if there was none.
    """

    round: Round
    examples: int
    seconds: float
    failure: str = ""


def run(target: Target, one: Round) -> Outcome:
    """Runs one round, and shrinks a failure."""
    began, tried, about, failure = time.process_time(), 0, "", ""

    def holds(prepared: Prepared) -> Callable[[], None]:
        @seed(one.seed)
        @settings(
            max_examples=one.examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @given(prepared.examples)
        def check(example: Any) -> None:
            nonlocal tried
            tried += 1
            prepared.check(example)

        return check

    try:
        prepared = target(one.seed)
        about = prepared.about
        holds(prepared)()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Hypothesis raises some errors that are no Exception
        failure = "\n".join(filter(None, [about, _described(error)]))
    return Outcome(one, tried, time.process_time() - began, failure)


def _described(error: BaseException) -> str:
    """The last frames, and Hypothesis' note with the shrunk example."""
    return "".join(traceback.format_exception(error, limit=-4))
