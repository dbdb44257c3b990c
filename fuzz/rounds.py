"""A round: one target, one seed, so many examples.

Rule: a round depends on nothing but these three, so that one that found something can be run again.
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
        examples: what to try.
        check: raises for what must not be.
        about: what a failure cannot be understood without; empty if there is nothing.
    """

    examples: SearchStrategy[Any]
    check: Check
    about: str = ""


Target = Callable[[int], Prepared]
"""Prepares a round with a seed."""


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be run. `target` is a name of `targets.TARGETS`."""

    target: str
    seed: int
    examples: int

    @property
    def command(self) -> str:
        """What runs it again, and nothing else."""
        return f"python -m fuzz --only {self.target} --seed {self.seed} --examples {self.examples}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a round.

    Attributes:
        round: that was run.
        examples: that were tried.
        seconds: of processor time.
        failure: the shrunk example and what it raised; empty if nothing was.
    """

    round: Round
    examples: int
    seconds: float
    failure: str = ""


def run(target: Target, one: Round) -> Outcome:
    """One round, with a failure shrunk."""
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
    except BaseException as error:  # Hypothesis raises several that are no Exception
        failure = "\n".join(filter(None, [about, _described(error)]))
    return Outcome(one, tried, time.process_time() - began, failure)


def _described(error: BaseException) -> str:
    """The last frames, and what Hypothesis noted: the shrunk example."""
    return "".join(traceback.format_exception(error, limit=-4))
