"""Our policy routing rules: always the one that protects, and those around it for what comes to our own ports."""

from __future__ import annotations

import socket
from typing import Any

from ironswan.gateway import rules

ACTIONS = {"to_tbl": 1, "goto": 2, "nop": 3}


class Entry(dict[str, Any]):
    """A rule as pyroute2 gives it back."""

    def get_attr(self, name: str) -> object:
        return self["attrs"].get(name)


class Kernel:
    """Keeps rules, and what was done to them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.done: list[tuple[str, int]] = []

    def rule(self, verb: str, *, family: int, action: str, flags: int = 0, **attributes: object) -> None:
        attrs = {f"FRA_{name.upper()}": value for name, value in attributes.items()}
        entry = Entry(action=ACTIONS[action], flags=flags, family=family, attrs=attrs)
        self.done.append((verb, int(str(attributes["priority"]))))
        if verb == "add":
            self.entries.append(entry)
        else:
            self.entries.remove(entry)

    def get_rules(self, family: int) -> list[Entry]:
        return [entry for entry in self.entries if entry["family"] == family]

    def priorities(self, family: int = socket.AF_INET) -> list[int]:
        return sorted(int(str(entry.get_attr("FRA_PRIORITY"))) for entry in self.get_rules(family))


def test_rules_are_added_once_and_the_one_that_protects_first() -> None:
    kernel = Kernel()
    for _ in range(2):
        rules.install(kernel, socket.AF_INET, 220, (500, 4500))
        rules.install(kernel, socket.AF_INET6, 220, (500, 4500))
    assert kernel.done == [("add", 220), ("add", 221), ("add", 219), ("add", 219), ("add", 219), ("add", 220)]


def test_only_packets_of_this_host_from_our_own_ports_pass_our_table_by() -> None:
    kernel = Kernel()
    rules.install(kernel, socket.AF_INET, 220, (4500, 500))
    around = [entry for entry in kernel.entries if entry.get_attr("FRA_PRIORITY") == 219]
    what = [(entry.get_attr("FRA_IP_PROTO"), entry.get_attr("FRA_SPORT_RANGE")) for entry in around]
    assert what == [(17, "500:500"), (17, "4500:4500"), (50, None)]
    assert all(entry.get_attr("FRA_IIFNAME") == "lo" and entry.get_attr("FRA_UID_RANGE") == "0:0" for entry in around)
    assert all(entry.get_attr("FRA_GOTO") == 221 for entry in around)


def test_rules_for_other_ports_of_a_dead_gateway_go_after_ours_are_there() -> None:
    kernel = Kernel()
    rules.install(kernel, socket.AF_INET, 220, (500, 4500))
    kernel.done.clear()
    rules.install(kernel, socket.AF_INET, 220, (500, 5500))
    assert kernel.done == [("add", 219), ("del", 219)]
    assert kernel.priorities() == [219, 219, 219, 220, 221]


def test_rules_of_others_stay() -> None:
    kernel = Kernel()
    rules.install(kernel, socket.AF_INET, 220, (500, 4500))
    kernel.rule("add", family=socket.AF_INET, action="to_tbl", priority=220, protocol=3, table=220)
    kernel.rule("add", family=socket.AF_INET, action="to_tbl", priority=100, protocol=rules.PROTOCOL, table=7)
    rules.remove(kernel, socket.AF_INET)
    assert kernel.priorities() == [100, 220]
