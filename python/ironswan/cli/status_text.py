"""The status document as a listing for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def seconds(value: float | None) -> str:
    """A duration in its two largest units: `2h 5m`."""
    if value is None:
        return "never"
    left = max(0, round(value))
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"


def octets(value: int) -> str:
    """A volume in the unit that leaves at most four digits."""
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount /= 1024
        unit += 1
    return f"{value} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def render(document: Document, *, dataplane: bool = False) -> str:
    """The whole listing."""
    return "\n".join(_lines(document, dataplane))


def _lines(document: Document, dataplane: bool) -> Iterator[str]:
    plane = document["dataplane"]
    on = [name for name, state in plane["offloads"].items() if state]
    yield (
        f"ironswan {document['version']}, up {seconds(document['uptime'])}; {plane['interface']} MTU {plane['mtu']}; "
        f"workers: {plane['workers']}; offloads: {' '.join(on) or 'none'}"
    )
    running: dict[str, list[Document]] = {}
    for sa in document["ike_sas"]:
        running.setdefault(sa["connection"], []).append(sa)
    for connection in document["connections"]:
        yield from _connection(connection, running.pop(connection["name"], []))
    for name, sas in running.items():
        yield f"\n{name}: no longer configured"
        for sa in sas:
            yield from _ike_sa(sa)
    if not dataplane:
        yield from _drops(document)
    yield from _rejects(document)
    if dataplane:
        from ironswan.cli.dataplane_text import lines

        yield from lines(document)


def _connection(connection: Document, sas: list[Document]) -> Iterator[str]:
    yield f"\n{connection['name']}: {', '.join(connection['local_addrs'])} === {', '.join(connection['remote_addrs'])}"
    for sa in sas:
        yield from _ike_sa(sa)
    for child in connection["children"]:
        if child["state"] != "up":
            held = ", its packets are refused" if child["held"] and child["state"] != "trapped" else ""
            yield f"  {child['name']}: {child['state']}{held}"


def _ike_sa(sa: Document) -> Iterator[str]:
    nat = [side for side in ("local", "remote") if sa[f"{side}_natted"]]
    yield (
        f"  IKE SA {sa['state']}, {'initiator' if sa['initiator'] else 'responder'}, age {seconds(sa['age'])}, "
        f"rekey in {seconds(sa['rekey_in'])}"
    )
    yield f"    {sa['local']} [{sa['local_id']}] === {sa['remote']} [{sa['remote_id']}]"
    where = f", NAT (or encap = yes) at the {' and the '.join(nat)} side" if nat else ""
    yield f"    {sa['suite'] or 'no suite yet'}{where}"
    for child in sa["children"]:
        yield from _child(child)


def _child(child: Document) -> Iterator[str]:
    mode = "" if child["mode"] == "tunnel" else f"{child['mode']} mode, "
    own = "" if child["worker"] is None else f" for worker {child['worker']}"
    yield (
        f"  {child['name']}{own}: {child['state']}, {mode}{child['suite']}, "
        f"SPIs {child['inbound_spi']} in {child['outbound_spi']} out, "
        f"age {seconds(child['age'])}, rekey in {seconds(child['rekey_in'])}"
    )
    yield f"    {', '.join(child['local_ts'])} === {', '.join(child['remote_ts'])}"
    if child.get("path_mtu"):
        yield f"    MTU {child['mtu']}: the path carries {child['path_mtu']} octets by {child['path_mtu_by']}"
    if child["bytes_in"] is not None:
        yield (
            f"    in {octets(child['bytes_in'])} ({child['packets_in']} packets), "
            f"out {octets(child['bytes_out'])} ({child['packets_out']} packets)"
        )


def _drops(document: Document) -> Iterator[str]:
    counters = document["dataplane"]["counters"]
    dropped = {name: n for name, n in counters.items() if n and "drop" in name}
    if dropped:
        yield "\ndropped: " + ", ".join(f"{name} {n}" for name, n in dropped.items())


def _rejects(document: Document) -> Iterator[str]:
    if document["rejects"]:
        yield "\nrefused IKE messages: " + ", ".join(f"{name} {n}" for name, n in document["rejects"].items())
