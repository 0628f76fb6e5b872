"""Our rules of the kernel's policy routing: which packets are asked after in our table, and which never. By netlink.

Every packet without our mark asks our table. When a packet comes in for us, strict reverse path filtering (RFC 3704
2.2) asks where an answer would go, and that question carries no mark: for ESP, and for what a peer sends to our own
ports, it must not be answered with our table, or the filter drops the peer's IKE and ESP where a policy covers the
peer's own address.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Any

PRIORITY = 220
PROTOCOL = 220
MARK = 220
_AROUND, _BEHIND = PRIORITY - 1, PRIORITY + 1
_INVERT = 2
_UDP, _ESP = 17, 50
_Rule = tuple[tuple[str, object], ...]


def wanted(family: int, table: int, ports: Iterable[int]) -> list[_Rule]:
    """Our rules, in the order in which they are safe to add. Only IPv4 has a reverse path filter in routing."""
    rules: list[dict[str, object]] = [
        {"priority": PRIORITY, "action": "to_tbl", "table": table, "fwmark": MARK, "flags": _INVERT}
    ]
    if family == socket.AF_INET:
        from_ports: list[dict[str, object]] = [
            {"ip_proto": _UDP, "sport_range": f"{port}:{port}"} for port in sorted(ports)
        ]
        # Does nothing, but is where the others go; and for rules of `lo` alone the kernel would read no ports of what
        # comes in.
        rules.append({"priority": _BEHIND, "action": "nop", **from_ports[0]})
        # Of this host (`lo`) and of root alone, as whom the filter asks: what is forwarded from such a port is
        # protected as all else, and so is what another user sends from it when no gateway holds it.
        of_ours = {"iifname": "lo", "uid_range": "0:0"}
        around = {"priority": _AROUND, "action": "goto", "goto": _BEHIND, **of_ours}
        rules += [{**around, **each} for each in from_ports]
        rules.append({**around, "ip_proto": _ESP})
    return [tuple(sorted(rule.items())) for rule in rules]


def install(route: Any, family: int, table: int, ports: Iterable[int]) -> None:  # noqa: ANN401
    """Make our rules what is wanted, whatever a dead gateway left; there is no moment without the one that matters."""
    present, rules = list(_present(route, family)), wanted(family, table, ports)
    for rule in rules:
        if rule not in present:
            _change(route, "add", family, rule)
    for number, rule in enumerate(present):
        if rule not in rules or rule in present[:number]:
            _change(route, "del", family, rule)


def remove(route: Any, family: int) -> None:  # noqa: ANN401
    """Remove them all."""
    for rule in _present(route, family):
        _change(route, "del", family, rule)


def _change(route: Any, verb: str, family: int, rule: _Rule) -> None:  # noqa: ANN401
    route.rule(verb, family=family, protocol=PROTOCOL, **dict(rule))


def _present(route: Any, family: int) -> Iterator[_Rule]:  # noqa: ANN401
    """The rules with our protocol number at our priorities, as `wanted` would write them."""
    actions = {1: "to_tbl", 2: "goto", 3: "nop"}
    for found in route.get_rules(family=family):
        priority = found.get_attr("FRA_PRIORITY")
        if found.get_attr("FRA_PROTOCOL") != PROTOCOL or priority not in (_AROUND, PRIORITY, _BEHIND):
            continue
        rule: dict[str, object] = {"priority": priority, "action": actions.get(found["action"], found["action"])}
        for name in ("goto", "iifname", "ip_proto", "fwmark", "sport_range", "uid_range"):
            if value := found.get_attr(f"FRA_{name.upper()}"):
                rule[name] = value
        if rule["action"] == "to_tbl":
            rule |= {"table": found.get_attr("FRA_TABLE"), "flags": found["flags"] & _INVERT}
        yield tuple(sorted(rule.items()))
