"""What README and the documents show works as it stands there: configurations load, Python runs, and sites meet."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ironswan.config import load
from ironswan.esp import Status
from ironswan.gateway.upkeep import unstartable
from ironswan.ike.environment import Environment
from ironswan.ike.events import ChildInstalled
from ironswan.ike.manager import IkeManager
from ironswan.ike.types import Endpoint
from ironswan.policy.connection import Configuration, EndAction, StartAction
from ironswan.policy.identity import Identity
from ironswan.policy.selectors import SelectorTemplate

REPOSITORY = Path(__file__).parents[3]
README = REPOSITORY / "README.md"
DOCUMENTS = sorted((README, *(REPOSITORY / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str = "") -> list[str]:
    return [text for found, text in BLOCK.findall(document.read_text()) if found == language]


def whole_configurations() -> list[Any]:
    """Blocks that are a file, not a part of one."""
    found = [
        (document, language, text)
        for document in DOCUMENTS
        for language in ("", "toml")
        for text in blocks(document, language)
        if text.startswith(("connections {", "[connections.")) and "..." not in text
    ]
    return [
        pytest.param(text, "site.toml" if language else "site.conf", id=f"{document.stem}-{language or 'conf'}")
        for document, language, text in found
    ]


def loaded(directory: Path, text: str, name: str = "site.conf") -> Configuration:
    path = directory / name
    path.write_text(text)
    path.chmod(0o600)
    return load(path)


@pytest.mark.parametrize(("text", "name"), whole_configurations())
def test_configuration_that_is_shown_has_no_problems(tmp_path: Path, text: str, name: str) -> None:
    configuration = loaded(tmp_path, text, name)
    [connection] = configuration.connections
    assert connection.children
    assert [secret.ids != () for secret in configuration.secrets] == [True]
    assert unstartable(configuration) == []


def readme_site() -> str:
    [text] = [text for text in blocks(README) if text.startswith("connections {")]
    return text


def swapped(text: str) -> str:
    """README: "The other side has the same with addresses, networks and identities swapped"."""
    pairs = [("192.0.2.2", "192.0.2.1"), ("berlin.example", "paris.example"), ("10.1.0.0/16", "10.2.0.0/16")]
    swap = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    return re.sub("|".join(map(re.escape, swap)), lambda found: swap[found[0]], text)


def test_readme_site_is_what_readme_says_of_it(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, readme_site())
    [connection], [secret] = configuration.connections, configuration.secrets
    [child] = connection.children
    assert (connection.name, child.name) == ("berlin-paris", "offices")
    assert connection.remote_addrs == ("192.0.2.2",)
    assert (str(connection.local.id), str(connection.remote.id)) == ("berlin.example", "paris.example")
    assert (child.local_ts, child.remote_ts) == (network("10.1"), network("10.2"))
    assert (child.start_action, child.dpd_action) == (StartAction.TRAP_START, EndAction.START)
    assert connection.dpd_delay == 30.0
    assert secret.secret == b"a long random text, the same on both sides"
    assert secret.ids == (Identity.parse("berlin.example"), Identity.parse("paris.example"))


def network(prefix: str) -> tuple[SelectorTemplate, ...]:
    whole = ip_network(f"{prefix}.0.0/16")
    return (SelectorTemplate(whole[0], whole[-1]),)


def test_readme_sites_meet(tmp_path: Path) -> None:
    """The file and the other side's: every default on both sides, and a tunnel between the two networks."""
    berlin, paris = loaded(tmp_path, readme_site()), loaded(tmp_path, swapped(readme_site()))
    spis = count(0x1000)
    environment = Environment(os.urandom, lambda _worker=None, /: next(spis))
    engines = [IkeManager(berlin, environment), IkeManager(paris, environment)]
    ends = [Endpoint.parse("192.0.2.1", 500), Endpoint.parse("192.0.2.2", 500)]
    engines[0].initiate("berlin-paris", "offices", 0.0, *ends)
    installed = []
    for _ in range(10):
        for engine, other in (engines, engines[::-1]):
            for datagram in engine.take_datagrams():
                other.receive(replace(datagram, local=datagram.remote, remote=datagram.local), 0.0)
            installed += [event.child for event in engine.take_events() if isinstance(event, ChildInstalled)]
    assert [str(child.ts_local[0]) for child in installed] == ["10.2.0.0/16", "10.1.0.0/16"]
    assert installed[0].keymat_in == installed[1].keymat_out


def python_blocks() -> list[Any]:
    return [
        pytest.param(text, id=f"{document.stem}-{number}")
        for document in DOCUMENTS
        for number, text in enumerate(blocks(document, "python"))
    ]


def inner(number: int) -> bytes:
    """UDP from 10.1.0.5 to 10.2.0.7, without checksums."""
    data = number.to_bytes(1, "big") * 40
    udp = bytes.fromhex("0fa00035") + (8 + len(data)).to_bytes(2, "big") + bytes(2) + data
    head = bytearray(bytes.fromhex("4500") + (20 + len(udp)).to_bytes(2, "big") + bytes.fromhex("0000400040110000"))
    head += bytes((10, 1, 0, 5, 10, 2, 0, 7))
    total = sum(int.from_bytes(head[n : n + 2], "big") for n in range(0, 20, 2))
    head[10:12] = (~(total % 0xFFFF) & 0xFFFF).to_bytes(2, "big")
    return bytes(head) + udp


@pytest.mark.parametrize("text", python_blocks())
def test_python_that_is_shown_runs_and_opens_what_it_seals(text: str) -> None:
    packets = [inner(number) for number in range(4)]
    names: dict[str, Any] = {"packets": packets, "keymat": bytes(range(20))}
    exec(compile(text, "a document", "exec"), names)
    assert list(names["opened"].statuses) == [Status.OK] * 4
    assert names["opened"].packets.tolist() == packets
    assert all(packet not in sealed for packet, sealed in zip(packets, names["sealed"].packets.tolist(), strict=True))


def test_documents_show_python_and_configurations() -> None:
    """Or the tests above would have nothing to look at."""
    assert len(python_blocks()) >= 2
    assert len(whole_configurations()) >= 3
