"""The queues of the template, in the stack's SQS.

Rule: a change of the template keeps every queue with its messages, also a queue that the template no longer has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from lattice_bridge.local.aws.sqs.attributes import parse
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.plan.queues import Queue

_logger: Final = logging.getLogger(__name__)


class TemplateQueues:
    """Makes the queues of the template, and changes their attributes with it.

    Args:
        queues: of the stack.
    """

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._made: dict[str, Queue] = {}

    def replace(self, wanted: Iterable[Queue]) -> None:
        """Makes the queues that are not there yet, and gives the others the attributes that have changed.

        What a client has set stays until the template changes the queue.

        Args:
            wanted: the queues, each dead-letter queue before the queues that refer to it.
        """
        for one in wanted:
            try:
                self._make(one)
            except SqsError as error:  # a queue that a client has made does not fit
                _logger.warning("queue %s is not as in the template: %s", one.name, error)
            self._made[one.arn] = one

    def _make(self, one: Queue) -> None:
        queue = self._queues.by_arn(one.arn)
        if queue is None:
            self._queues.create(one.name, one.attributes, one.arn)
        elif self._made.get(one.arn) != one:
            queue.set_attributes(parse(one.attributes, is_fifo=one.is_fifo))
