"""Sending our own exchanges one after the other, in the window of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike import protect
from ironswan.ike.types import IkeState

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa
    from ironswan.ike.task import Task

MAY_REQUEST = frozenset({IkeState.ESTABLISHED, IkeState.REKEYED, IkeState.DELETING})


def enqueue(sa: IkeSa, task: Task, now: float, *, first: bool = False) -> None:
    """Queue an exchange and send it if the window is free."""
    if first:
        sa.queue.appendleft(task)
    else:
        sa.queue.append(task)
    pump(sa, now)


def pump(sa: IkeSa, now: float) -> None:
    """Send the next exchange that still has something to ask."""
    while sa.requests.outstanding is None and sa.queue and sa.state in MAY_REQUEST:
        send(sa, sa.queue.popleft(), now)


def send(sa: IkeSa, task: Task, now: float) -> None:
    """Build and send one request."""
    payloads = task.build(sa, now)
    if payloads is None:
        return
    datagrams = protect.seal(sa, task.exchange, sa.requests.next_id, payloads, response=False)
    sa.requests.open(task.exchange, task, datagrams)
    sa.early_deletes.clear()
    sa.sent_request(datagrams, now)
