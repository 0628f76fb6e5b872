"""No key and no pre-shared key is in what any object says of itself, nor in the log at its most talkative.

Every instance of every class of ours that two gateways make while they set up, rekey and end SAs is looked at, whatever
it is for: a new dataclass with a key in its repr fails here without being named.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from gateway_pairs import NET, Side, configuration, play

import ironswan
from ironswan.config import load
from ironswan.control.protocol import CommandError
from ironswan.crypto import ke
from ironswan.crypto.keys import IkeKeys
from ironswan.dataplane.null import InstalledSa
from ironswan.ike.auth import AuthTask
from ironswan.ike.children import ChildSpec
from ironswan.ike.events import ChildSa
from ironswan.policy.connection import SharedSecret

PSK = b"\x00psk between left and right\xff of the tests only"
PACKAGES = ("ike", "policy", "config", "crypto", "gateway", "dataplane", "control", "wire", "errors")
HOLDERS = (IkeKeys, SharedSecret, ChildSa, ChildSpec, AuthTask, InstalledSa)
SHORTEST = 8


def classes() -> Iterator[type]:
    for found in pkgutil.walk_packages(ironswan.__path__, "ironswan."):
        if found.name.split(".")[1] in PACKAGES:
            module = importlib.import_module(found.name)
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == module.__name__:
                    yield kind


class Everything:
    """Remembers every instance that is made of our dataclasses, and every key exchange."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Any] = []
        self.shared: list[bytes] = []
        for kind in set(classes()):
            if is_dataclass(kind) and "__init__" in vars(kind):
                monkeypatch.setattr(kind, "__init__", self._remembering(kind.__init__))
        self._new = ke.new
        monkeypatch.setattr(ke, "new", self._key_exchange)

    def _remembering(self, init: Any) -> Any:
        def remember(instance: Any, *arguments: Any, **more: Any) -> None:
            init(instance, *arguments, **more)
            self.made.append(instance)

        return remember

    def _key_exchange(self, method: int, entropy: Any) -> Any:
        state = self._new(method, entropy)
        self.made.append(state)
        return state

    def secrets(self) -> set[bytes]:
        """All that must not be seen, long enough not to turn up by chance."""
        found = {PSK}
        for each in self.made:
            if isinstance(each, IkeKeys):
                found |= {getattr(each, field.name) for field in fields(each)}
            elif isinstance(each, ChildSa | ChildSpec):
                found |= {each.keymat_in, each.keymat_out}
        return {secret for secret in found if len(secret) >= SHORTEST}


def ways(secret: bytes) -> Iterator[str]:
    """How octets look in a text: as Python writes them, as hex, as base64 at each alignment, as a list, as a number."""
    head = secret[:SHORTEST]
    yield repr(head)[2:-1]
    yield head.hex()
    yield head.hex(" ")
    yield head.hex(":")
    yield ", ".join(map(str, head))
    yield str(int.from_bytes(secret, "big"))
    for skipped in range(3):
        # Whole groups of three octets only: the rest depends on what stands beside them.
        part = secret[skipped:]
        yield b64encode(part[: len(part) // 3 * 3])[:10].decode()


def shown(texts: list[tuple[str, str]], secrets: set[bytes]) -> set[str]:
    needles = {needle for secret in secrets for needle in ways(secret)}
    return {name for name, text in texts for needle in needles if needle in text or needle.upper() in text}


def texts_of(instances: list[Any]) -> list[tuple[str, str]]:
    return [(type(each).__name__, text) for each in instances for text in (repr(each), str(each))]


def test_the_ways_of_looking_find_what_is_there() -> None:
    secret = bytes(range(60, 92))
    seen = [
        repr(secret),
        repr([secret]),
        secret.hex(),
        secret.hex().upper(),
        b64encode(secret).decode(),
        b64encode(b"x" + secret).decode(),
        b64encode(b"xy" + secret).decode(),
        str(list(secret)),
        str(int.from_bytes(secret, "big")),
        repr(SharedSecret("s", b"", ())) + str(bytearray(secret)),
    ]
    assert [bool(shown([("", text)], {secret})) for text in seen] == [True] * len(seen)
    assert not shown([("", "ChildSa(inbound_spi=4097, keymat_in=...)")], {secret})


async def whole_life(left: Side, right: Side) -> None:
    await left.do("up", name="lan")
    await left.do("rekey", name="lan", kind="child")
    await left.do("rekey", name="home", kind="ike")
    await left.until(lambda: len(left.gateway.snapshot()) == 1)
    await right.do("rekey", name="lan", kind="child")
    await left.do("status")
    await left.do("down", name="home")
    await right.until(lambda: not right.spis)


def test_nothing_that_two_gateways_make_shows_a_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    everything = Everything(monkeypatch)
    sides: list[Side] = []

    async def scenario(left: Side, right: Side) -> None:
        sides.extend((left, right))
        await whole_life(left, right)

    play(scenario, configuration("left", secret=PSK), configuration("right", secret=PSK))
    secrets = everything.secrets()
    assert len(secrets) == 1 + 2 * 5 + 3 * 2, "the PSK, two IKE SAs with five keys each, three Child SAs with two"
    assert {kind for kind in HOLDERS if any(isinstance(each, kind) for each in everything.made)} == set(HOLDERS)
    texts = texts_of(everything.made)
    for side in sides:
        owners = [side.gateway, side.gateway.manager, side.gateway.configuration, *vars(side.gateway).values()]
        texts += texts_of(owners) + [("progress", line) for line in side.progress]
    assert shown(texts, secrets) == set()
    assert caplog.records
    assert shown([(record.name, record.getMessage()) for record in caplog.records], secrets) == set()


def test_no_log_line_of_a_wrong_secret_shows_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    everything = Everything(monkeypatch)
    other = b"\x01another one of the tests\xfe that is wrong"

    async def scenario(left: Side, right: Side) -> None:
        with pytest.raises(CommandError) as refused:
            await left.do("up", name="lan")
        errors.append(repr(refused.value) + str(refused.value))
        await right.until(lambda: right.gateway.rejects["authentication"])

    errors: list[str] = []
    play(scenario, configuration("left", secret=PSK), configuration("right", secret=other))
    secrets = everything.secrets() | {other}
    texts = texts_of(everything.made) + [(r.name, r.getMessage()) for r in caplog.records] + [("error", errors[0])]
    assert shown(texts, secrets) == set()


@pytest.mark.parametrize("written", ['"{}"', "0x{hex}", "0s{base64}"])
def test_configuration_that_was_read_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    text = "psk of the tests only 0123456789"
    secret = text.encode()
    value = written.format(text, hex=secret.hex(), base64=b64encode(secret).decode())
    path = tmp_path / "site.conf"
    path.write_text(
        f"connections {{ a {{\nremote_addrs = 192.0.2.2\nchildren {{ c {{\nremote_ts = {ip_network(NET['right'])}\n"
        f"}} }}\n}} }}\nsecrets {{ ike-x {{ secret = {value} }} }}\n"
    )
    path.chmod(0o600)
    everything = Everything(monkeypatch)
    loaded = load(path)
    assert [s.secret for s in loaded.secrets] == [secret]
    assert any(isinstance(each, SharedSecret) for each in everything.made)
    assert shown(texts_of([*everything.made, loaded]), {secret}) == set()
