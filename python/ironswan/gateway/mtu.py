"""How large a packet may be to leave in one piece, whichever of the configured suites is negotiated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ironswan.ike.suites import esp_suite
from ironswan.policy.connection import Configuration
from ironswan.policy.hosts import literal
from ironswan.policy.proposals import default_proposals
from ironswan.policy.transforms import Proposal, Protocol, TransformType

# Longer packets pass only where somebody knows the whole path, whatever the links of this machine take.
USUAL_PATH = 1500
# On such a path this leaves room for PPPoE, and payloads are whole blocks of the cipher.
LARGEST_MTU = 1422


def fitting_mtu(configuration: Configuration, outer_mtu: int) -> int:
    """The MTU of the TUN for what is configured, on links of `outer_mtu` octets.

    More than `LARGEST_MTU` only for a connection whose configuration says that its path carries more.
    """
    texts = (t for c in configuration.connections for t in (*c.local_addrs, *c.remote_addrs))
    version = 6 if any((address := literal(t)) is not None and address.version == 6 for t in texts) else 4
    framing = iv_and_icv(configuration)
    known = max((connection.path_mtu for connection in configuration.connections), default=0)
    largest = tun_mtu(known, version, framing) if known > USUAL_PATH else LARGEST_MTU
    return min(largest, tun_mtu(outer_mtu, version, framing))


def iv_and_icv(configuration: Configuration) -> int:
    """Octets of IV and ICV, the most that a suite in any proposal, or in a default one if there is none, adds."""
    from ironswan import esp  # the native module is loaded when there is a gateway to run

    suites = {suite.keyword: suite for suite in esp.suites() if suite.protocol == "esp"}
    used = (suites[keyword] for keyword in _keywords(configuration))
    return max(suite.iv_len + suite.icv_len for suite in used)


def _keywords(configuration: Configuration) -> Iterator[str]:
    children = (child for connection in configuration.connections for child in connection.children)
    offers = {(proposal, child.sha256_96) for child in children for proposal in child.esp_proposals}
    for proposal, sha256_96 in offers or {(proposal, False) for proposal in default_proposals(Protocol.ESP)}:
        for encr, integ in product(
            proposal.of_type(TransformType.ENCR), proposal.of_type(TransformType.INTEG) or (None,)
        ):
            one = Proposal(proposal.protocol, (encr,) if integ is None else (encr, integ))
            if (suite := esp_suite(one, sha256_96=sha256_96)) is not None:
                yield suite.keyword


def tun_mtu(outer_mtu: int, outer_version: int, framing: int) -> int:
    """The largest inner packet that leaves ESP in UDP within `outer_mtu`, its payload a whole number of 16 octets.

    Outer IP header, 8 UDP, 8 ESP, and `framing` octets of IV and ICV around the packet and its trailer of 2.
    """
    room = outer_mtu - (40 if outer_version == 6 else 20) - 8 - 8 - framing
    return room // 16 * 16 - 2
