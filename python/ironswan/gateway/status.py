"""What the gateway does now, as one JSON document. No keys, no secrets; texts a peer chose are escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ironswan
from ironswan.control.protocol import SCHEMA, JsonObject
from ironswan.gateway.log import plain
from ironswan.policy.connection import Mode

if TYPE_CHECKING:
    from ironswan.gateway.children import Installed
    from ironswan.gateway.gateway import Gateway
    from ironswan.gateway.policies import Target
    from ironswan.ike.types import ChildStatus, IkeSaStatus
    from ironswan.policy.connection import Connection

# What the data plane has no figures for, as long as the SA is not in it: null, so that every child has the same keys.
_NOT_INSTALLED = (
    "packets_in", "bytes_in", "packets_out", "bytes_out",
    "sequence_in", "replay_window", "sequence_out", "segmentation_refused",
)  # fmt: skip


def document(gateway: Gateway, started: float) -> JsonObject:
    """The whole status."""
    snapshot = gateway.snapshot()
    return {
        "schema": SCHEMA,
        "version": ironswan.__version__,
        "uptime": round(gateway.now - started, 1),
        "connections": _connections(gateway, snapshot),
        "ike_sas": [_ike_sa(gateway, sa) for sa in snapshot],
        "rejects": dict(sorted(gateway.rejects.items())),
        "dataplane": _dataplane(gateway),
    }


def _dataplane(gateway: Gateway) -> JsonObject:
    plane = gateway.dataplane
    return {
        "interface": plane.interface()[0],
        "mtu": gateway.mtu,
        "workers": plane.workers(),
        "offloads": dict(sorted(plane.offloads().items())),
        "offloads_asked": dict(sorted(plane.offloads_asked().items())),
        "counters": dict(sorted(plane.counters().items())),
        "batches": dict(sorted(plane.batches().items())),
        "worker_counters": [dict(sorted(each.items())) for each in plane.worker_counters()],
        "worker_batches": [dict(sorted(each.items())) for each in plane.worker_batches()],
    }


def _connections(gateway: Gateway, snapshot: tuple[IkeSaStatus, ...]) -> list[JsonObject]:
    # Each set once, however many connections there are.
    states = dict.fromkeys(gateway.policies.traps(), "trapped")
    states |= dict.fromkeys(gateway.upkeep.trying(), "trying")
    states |= {(sa.connection, child.name): "up" for sa in snapshot for child in sa.children}
    held = gateway.protection.held()
    return [_connection(connection, states, held) for connection in gateway.configuration.connections]


def _connection(connection: Connection, states: dict[Target, str], held: frozenset[Target]) -> JsonObject:
    children: list[JsonObject] = []
    for child in connection.children:
        target = (connection.name, child.name)
        state, action = states.get(target, "down"), child.start_action.value
        children.append({"name": child.name, "state": state, "start_action": action, "held": target in held})
    return {
        "name": connection.name,
        "local_addrs": list(connection.local_addrs),
        "remote_addrs": list(connection.remote_addrs),
        "children": children,
    }


def _ike_sa(gateway: Gateway, sa: IkeSaStatus) -> JsonObject:
    return {
        "id": sa.id,
        "connection": sa.connection,
        "state": sa.state,
        "initiator": sa.initiator,
        "spi_i": _hex(sa.spi_i, 16),
        "spi_r": _hex(sa.spi_r, 16),
        "local": str(sa.local),
        "remote": str(sa.remote),
        "local_id": plain(sa.local_id),
        "remote_id": plain(sa.remote_id),
        "suite": sa.suite,
        "age": _seconds(sa.age),
        "rekey_in": _seconds(sa.rekey_in),
        "expires_in": _seconds(sa.expires_in),
        "local_natted": sa.local_natted,
        "remote_natted": sa.remote_natted,
        "udp_encap": sa.udp_encap,
        "children": [_child(gateway, child) for child in sa.children],
    }


def _child(gateway: Gateway, child: ChildStatus) -> JsonObject:
    entry = gateway.children.get(child.id)
    return {
        "id": child.id,
        "name": child.name,
        "state": child.state,
        "inbound_spi": _hex(child.inbound_spi, 8),
        "outbound_spi": _hex(child.outbound_spi, 8),
        "suite": child.suite,
        "mode": child.mode,
        "local_ts": [str(ts) for ts in child.ts_local],
        "remote_ts": [str(ts) for ts in child.ts_remote],
        "age": _seconds(child.age),
        "rekey_in": _seconds(child.rekey_in),
        "expires_in": _seconds(child.expires_in),
        "outbound": child.outbound,
        "worker": child.worker,
        "interface": gateway.interfaces.name(entry.interface if entry else 0),
        **dict.fromkeys(_NOT_INSTALLED),
        **_copied(entry),
        **gateway.children.counters(child.id),
        **gateway.children.drops(child.id),
        **gateway.children.progress(child.id),
        **_path_mtu(gateway, entry),
    }


def _copied(entry: Installed | None) -> JsonObject:
    """What of the DS field goes from one header to the other; in transport mode there is but one."""
    if entry is None or entry.child.mode is not Mode.TUNNEL:
        return {"copy_ecn": None, "copy_dscp": None}
    policy = entry.child.policy
    return {"copy_ecn": policy.copy_ecn, "copy_dscp": policy.copy_dscp.value}


def _path_mtu(gateway: Gateway, entry: Installed | None) -> JsonObject:
    path = gateway.paths.mtus.of(entry.handle if entry else None)
    if not path:
        return {"path_mtu": None, "path_mtu_by": None, "mtu": None}
    return {"path_mtu": path.octets, "path_mtu_by": path.origin, "mtu": min(path.inner, gateway.mtu)}


def _hex(value: int | str | bytes, digits: int) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str) else f"{value:0{digits}x}"


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
