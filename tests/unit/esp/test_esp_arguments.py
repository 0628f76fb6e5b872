"""What callers may write: everything wrong is a ValueError that says what is expected, and no key is shown."""

from __future__ import annotations

from typing import Any

import pytest
from esp_packets import GCM, KEYMAT, OUTER, SPI, inbound, ipv4, outbound, seal

from ironswan.esp import AhInboundSa, AhOutboundSa, InboundSa, OutboundSa, PacketBatch, Status, suites

ESP = [suite for suite in suites() if suite.protocol == "esp"]
AH = [suite for suite in suites() if suite.protocol == "ah"]
SECRET = b"\xde\xad\xbe\xef" * 5


@pytest.mark.parametrize("suite", ESP, ids=lambda suite: suite.keyword)
def test_the_table_of_suites_is_true(suite: Any) -> None:
    """E19, E22 to E24, E29: each can be made with its key material, and packets have the lengths it says."""
    assert suite.keymat_len == suite.key_len + suite.salt_len + suite.integrity_key_len
    assert suite.icv_len >= 8
    assert suite.rfc.startswith(("RFC", "draft"))
    payload = bytes(2 * suite.block - 2)
    sa = outbound(suite.keyword, mode="transport")
    (sealed,) = seal(sa, payload)
    assert (len(sealed) - 8 - suite.iv_len - suite.icv_len) % suite.block == 0
    for wrong in (b"", KEYMAT[suite.keyword][:-1], KEYMAT[suite.keyword] + b"x"):
        with pytest.raises(ValueError, match=f"{suite.keymat_len} octets of key material"):
            OutboundSa(SPI, suite.keyword, wrong)


@pytest.mark.parametrize("suite", AH, ids=lambda suite: suite.keyword)
def test_the_table_of_ah_is_true(suite: Any) -> None:
    """E30."""
    keymat = bytes(range(suite.keymat_len))
    addresses = ("192.0.2.1", "192.0.2.2")
    sealed = AhOutboundSa(SPI, suite.keyword, keymat, tunnel=addresses).encap(PacketBatch([ipv4()]))
    (packet,) = sealed.packets.tolist()
    assert len(packet) == 20 + 12 + suite.iv_len + suite.icv_len + len(ipv4())
    opened = AhInboundSa(SPI, suite.keyword, keymat).decap(sealed.packets)
    assert opened.packets.tolist() == [ipv4()]
    with pytest.raises(ValueError, match=f"{suite.keymat_len} octets of key material"):
        AhInboundSa(SPI, suite.keyword, keymat + b"x")


def test_defaults_are_what_is_recommended() -> None:
    """E18, E29: RFC 8221; nothing without integrity, no DES, no MD5, and 3DES and short ICVs only by name."""
    keywords = {suite.keyword for suite in ESP}
    default = {suite.keyword for suite in ESP if suite.default}
    assert {"aes128gcm16", "aes256gcm16", "chacha20poly1305", "aes128-sha256", "aes256-sha512"} <= default
    assert {"null-sha256", "aes128-sha1"} <= keywords - default
    legacy = {suite.keyword for suite in ESP if suite.legacy}
    assert {"3des-sha256", "aes128gcm8", "aes128-sha256_96"} <= legacy
    assert not legacy & default
    assert not [keyword for keyword in keywords if "md5" in keyword or keyword.startswith(("des", "blowfish"))]


WRONG = {
    "unknown suite": ({"suite": "aes128gcm17"}, "no suite"),
    "without integrity": ({"suite": "aes128"}, "aes128-sha256"),
    "null alone": ({"suite": "null"}, "does not authenticate"),
    "spi": ({"spi": 0}, r"1\.\.4294967295"),
    "large spi": ({"spi": 1 << 32}, r"1\.\.4294967295"),
    "negative spi": ({"spi": -1}, r"1\.\.4294967295"),
    "port": ({"udp_encap": (4500, 65_536)}, r"0\.\.65535"),
    "limit": ({"limits": (-1, 0)}, r"a number of 0\.\."),
    "mode": ({"mode": "tunel"}, '"tunnel" or "transport"'),
    "address": ({"tunnel": ("192.0.2.1", "192.0.2")}, "192.0.2"),
    "families": ({"tunnel": ("192.0.2.1", "2001:db8::1")}, "two address families"),
    "dscp": ({"dscp": 64}, r"0\.\.63"),
    "df": ({"df": "no"}, '"copy", "set" or "clear"'),
    "hop limit": ({"hop_limit": 0}, r"1\.\.255"),
    "sequence number": ({"sequence_number": 1 << 32}, "esn=True"),
    "tfc": ({"mode": "transport", "tfc": 100}, "tunnel mode"),
    "tunnel": ({"mode": "transport", "tunnel": OUTER}, "a packet keeps its own"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_in_words(name: str) -> None:
    options, words = WRONG[name]
    arguments: dict[str, Any] = {"spi": SPI, "suite": GCM, "keymat": bytes(20)} | options
    with pytest.raises(ValueError, match=words):
        OutboundSa(**arguments)


@pytest.mark.parametrize(("options", "words"), [
    ({"replay_window": 8}, r"32\.\.65536"),
    ({"nat_oa": ("10.0.0.1", "10.0.0.2")}, "transport mode"),
    ({"mode": "transport", "nat_oa": ("10.0.0.1", "x")}, "nat_oa"),
    ({"selectors": [("10.0.0.0/33", "10.0.0.0/8")]}, "10.0.0.0/33"),
    ({"selectors": [("dynamic", "10.0.0.0/8")]}, "dynamic"),
])  # fmt: skip
def test_inbound_options_are_checked_too(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        inbound(**options)


def test_a_selector_is_a_text_or_a_traffic_selector() -> None:
    with pytest.raises(TypeError, match="TrafficSelector"):
        inbound(selectors=[(5, "10.0.0.0/8")])


@pytest.mark.parametrize(
    ("framing", "words"), [("ip", "tunnel="), ("udp", "udp_encap="), ("eth", '"esp", "udp" or "ip"')]
)
def test_a_framing_needs_what_it_frames_with(framing: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        outbound().encap(PacketBatch([ipv4()]), framing=framing)


def test_ah_in_tunnel_mode_needs_addresses() -> None:
    with pytest.raises(ValueError, match="tunnel="):
        AhOutboundSa(SPI, "sha256", bytes(32))
    with pytest.raises(ValueError, match="integrity algorithm"):
        AhOutboundSa(SPI, GCM, bytes(20), mode="transport")


def test_ah_in_transport_mode_has_no_addresses_of_a_tunnel() -> None:
    with pytest.raises(ValueError, match="a packet keeps its own"):
        AhOutboundSa(SPI, "sha256", bytes(32), mode="transport", tunnel=OUTER)


def test_a_dummy_of_transport_mode_has_no_ip_headers() -> None:
    with pytest.raises(ValueError, match="a dummy in transport mode has no IP headers"):
        outbound(mode="transport").dummies(1, 40, framing="ip")


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_gmac_is_as_strong_as_its_key(bits: int) -> None:
    assert {suite.strength for suite in suites() if suite.keyword == f"aes{bits}gmac"} == {bits}


def test_every_suite_says_how_strong_it_is() -> None:
    assert all(suite.strength >= 112 for suite in suites())


def test_no_key_is_shown() -> None:
    shown = [repr(OutboundSa(SPI, GCM, SECRET)), repr(InboundSa(SPI, GCM, SECRET))]
    shown.append(repr(AhInboundSa(SPI, "sha1", SECRET)))
    for make in (OutboundSa, InboundSa):
        with pytest.raises(ValueError, match="octets of key material") as raised:
            make(SPI, "aes256gcm16", SECRET)
        shown.append(str(raised.value))
    for text in shown:
        assert "dead" not in text.lower()
        assert repr(SECRET)[2:10] not in text
        assert "222, 173" not in text


def test_an_sa_tells_what_it_is() -> None:
    sa = outbound(esn=True, sequence_number=41)
    seal(sa, ipv4())
    assert (sa.spi, sa.suite, sa.mode, sa.sequence_number) == (SPI, GCM, "tunnel", 42)
    assert sa.counters["packets"] == 1
    assert sa.counters["octets"] == len(ipv4())
    assert set(sa.counters) == set(inbound().counters) >= {status.name.lower() for status in Status} - {"ok"}
    assert repr(sa) == "<OutboundSa 0x00001001 aes128gcm16 tunnel, last sent 42>"


def test_dummies_are_made_in_reasonable_numbers() -> None:
    """Each takes memory, so a wrong number must not take all of it."""
    for count in (65_537, 1 << 40, 1 << 62):
        with pytest.raises(ValueError, match="count is at most 65536"):
            outbound().dummies(count, 0)


@pytest.mark.parametrize(("length", "options"), [(65_000, {}), (0, {"tfc": 65_000})], ids=["length", "tfc"])
def test_dummies_take_a_reasonable_amount_of_memory(length: int, options: dict[str, Any]) -> None:
    """64 MiB in all, padding counted."""
    sa = outbound("null-sha256", **options)
    size = length + sa.overhead(length)
    most = (64 << 20) // size
    with pytest.raises(ValueError, match=f"count is at most {most} for packets of {size} octets"):
        sa.dummies(most + 1, length)
    assert sa.sequence_number == 0
    assert sa.dummies(most, length).packets.nbytes == most * size <= 64 << 20
