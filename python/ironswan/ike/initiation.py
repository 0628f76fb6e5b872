"""Starting a child: on an IKE SA there is, on one that is being set up, or on a new one. Nothing is started twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike import child_create, sa_init
from ironswan.ike.auth import AuthTask
from ironswan.ike.child_create import ChildCreateTask, live_child
from ironswan.ike.sa_init import InitTask
from ironswan.ike.types import Endpoint, IkeState, Outcome, Packet
from ironswan.ike.wanted import WantedChild

if TYPE_CHECKING:
    from ironswan.ike.context import Context
    from ironswan.ike.session import IkeSa
    from ironswan.policy.connection import ChildPolicy, Connection


def initiate(
    context: Context,
    connection_name: str,
    child_name: str | None,
    endpoints: tuple[Endpoint, Endpoint],
    packet: Packet | None,
    now: float,
) -> int:
    """Set up one child, or all of the connection; the number of the operation."""
    connection = context.configuration.connection(connection_name)
    policies = _policies(connection, child_name)
    if connection is None or (child_name is not None and not policies):
        return _refused(context, _unknown(connection, connection_name, child_name))
    under_way = _under_way(context, connection_name, policies) if len(policies) == 1 else None
    if under_way is not None:
        return under_way
    operation = context.operations.begin(max(1, len(policies)))
    wanted = _missing(context, connection_name, [WantedChild(policy, operation, packet) for policy in policies])
    if policies and not wanted:
        return operation
    sa = _usable(context, connection_name)
    if sa is None:
        sa_init.connect(context, connection, wanted, endpoints, now, operation=None if wanted else operation)
    else:
        _join(sa, wanted, operation, now)
    return operation


def _policies(connection: Connection | None, child_name: str | None) -> tuple[ChildPolicy, ...]:
    if connection is None:
        return ()
    return tuple(c for c in connection.children if child_name is None or c.name == child_name)


def _unknown(connection: Connection | None, connection_name: str, child_name: str | None) -> str:
    if connection is None:
        return f"there is no connection {connection_name}"
    return f"connection {connection_name} has no child {child_name}"


def _refused(context: Context, text: str) -> int:
    operation = context.operations.begin()
    context.operations.finish(operation, Outcome("local_refused", text))
    return operation


def _missing(context: Context, connection_name: str, wanted: list[WantedChild]) -> list[WantedChild]:
    """Those that are not up; with a peer that makes one Child SA an IKE SA, each may be on another one."""
    standing = [
        sa for sa in context.sas.values() if sa.connection.name == connection_name and sa.state is IkeState.ESTABLISHED
    ]
    missing = []
    for each in wanted:
        if any(live_child(sa, each.policy.name) for sa in standing):
            text = f"child {each.policy.name} is already established"
            context.operations.finish(each.operation, Outcome("established", text))
        else:
            missing.append(each)
    return missing


def _usable(context: Context, connection_name: str) -> IkeSa | None:
    """An IKE SA that takes, or will take, another child."""
    states = (IkeState.ESTABLISHED, IkeState.AUTH_SENT, IkeState.INIT_SENT)
    usable = [
        sa
        for sa in context.sas.values()
        if sa.connection.name == connection_name and sa.state in states and not sa.no_additional_sas
    ]
    return min(usable, key=lambda sa: states.index(sa.state), default=None)


def pending(sa: IkeSa) -> list[WantedChild]:
    """Children being set up on an IKE SA."""
    tasks = ([sa.task] if sa.task else []) + list(sa.queue)
    found: list[WantedChild] = []
    for task in tasks:
        if isinstance(task, InitTask | AuthTask):
            found += task.wanted
        elif isinstance(task, ChildCreateTask):
            found.append(task.wanted)
    return found


def _under_way(context: Context, connection_name: str, policies: tuple[ChildPolicy, ...]) -> int | None:
    for sa in context.sas.values():
        if sa.connection.name == connection_name:
            for wanted in pending(sa):
                if wanted.policy.name == policies[0].name and wanted.worker is None and wanted.operation is not None:
                    return wanted.operation
    return None


def _join(sa: IkeSa, wanted: list[WantedChild], operation: int, now: float) -> None:
    """Ride on an IKE SA that exists or is being set up."""
    operations, task = sa.context.operations, sa.task
    if not wanted:
        operations.finish(operation, Outcome("established", f"IKE SA {sa.connection.name} is already established"))
    for each in wanted:
        if isinstance(task, InitTask | AuthTask):
            task.wanted.append(each)
        else:
            child_create.create(sa, each, now)
