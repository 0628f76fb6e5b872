"""The one table of keys, named as in swanctl.conf: what each takes and does. Errors and documentation come from it."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.config import values as v


@dataclass(frozen=True, slots=True)
class Key:
    """A key: its kind, its default as text, what it does.

    `field` is the attribute it fills; None: accepted, without effect. `later`: values swanctl takes and this
    version does not; a value with something appended by a dash counts too (`eap-tls`).
    """

    name: str
    kind: v.AnyKind
    default: str
    meaning: str
    field: str | None = None
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A key that swanctl knows and this version cannot do; `harmless` are values that ask for nothing."""

    name: str
    harmless: tuple[str, ...] = ()
    kind: v.AnyKind = v.WORD

    def asks_for_nothing(self, text: str) -> bool:
        """Whether a value means one of the harmless ones, however it is written."""
        try:
            return self.kind.read(text) in map(self.kind.read, self.harmless)
        except ValueError:
            return False


_KINDS: dict[str, v.AnyKind] = {"": v.WORD, "time": v.TIME, "size": v.SIZE, "mark": v.MARK}


def _unsupported(text: str) -> tuple[Unsupported, ...]:
    """From words as `name`, `name=value|value` or `name:kind=value|value`."""
    found = []
    for word in text.split():
        key, _, values = word.partition("=")
        name, _, kind = key.partition(":")
        found.append(Unsupported(name, tuple(filter(None, values.split("|"))), _KINDS[kind]))
    return tuple(found)


CONNECTION = (
    Key("version", v.one_of("0", "2"), "2", "IKE version: 0 and 2 both mean IKEv2, there is no IKEv1 here"),
    Key("local_addrs", v.HOSTS, "%any", "our addresses for this peer", "local_addrs"),
    Key("remote_addrs", v.HOSTS, "%any", "the peer's addresses; the first that is no range is called", "remote_addrs"),
    Key("local_port", v.PORT, "500", "our port for the first message", "local_port"),
    Key("remote_port", v.PORT, "500", "the peer's port for the first message", "remote_port"),
    Key("proposals", v.IKE_PROPOSALS, "default", "suites for the IKE SA, in order of preference", "proposals"),
    Key(
        "path_mtu",
        v.PATH_MTU,
        "auto",
        "octets of the longest packet on the way to the peer; `auto`: what the route and routers on the way say",
        "path_mtu",
    ),
    Key("encap", v.BOOLEAN, "yes", "ESP in UDP even without a NAT, which is faster; swanctl's default is no", "encap"),
    Key("mobike", v.BOOLEAN, "yes", "accepted without effect: a peer may still move behind its NAT"),
    Key("dpd_delay", v.TIME, "0s", "ask a silent peer whether it lives after this time; 0 never", "dpd_delay"),
    Key("dpd_timeout", v.TIME, "0s", "accepted without effect: IKEv2 uses the retransmission timeout"),
    Key("fragmentation", v.FRAGMENTATION, "yes", "IKE fragmentation", "fragmentation"),
    Key("childless", v.one_of("allow", "never"), "allow", "accepted without effect", later=("prefer", "force")),
    Key("send_certreq", v.BOOLEAN, "yes", "accepted without effect: there are no certificates yet"),
    Key("send_cert", v.one_of("always", "never", "ifasked"), "ifasked", "accepted without effect"),
    Key("keyingtries", v.COUNT, "1", "how often to try to set up the IKE SA; 0 for ever", "keyingtries"),
    Key("unique", v.UNIQUE, "no", "several IKE SAs with one peer identity", "unique"),
    Key("rekey_time", v.TIME, "4h", "age at which the IKE SA is rekeyed; 0 never", "rekey_time"),
    Key("over_time", v.TIME, "10% of rekey_time", "how much later it is closed if that failed", "over_time"),
    Key("rand_time", v.TIME, "over_time", "up to this much is taken off rekey_time at random", "rand_time"),
)
CONNECTION_UNSUPPORTED = _unsupported("""
    aggressive=no pull=yes|no dscp=000000|0 vips ocsp=reply|never ppk_id ppk_required=no
    reauth_time:time=0s pools if_id_in:mark=0 if_id_out:mark=0 mediation=no mediated_by mediation_peer
""")
_LATER_AUTH = ("pubkey", "rsa", "ecdsa", "eap", "xauth", "ike")
AUTH = (
    Key("auth", v.one_of("psk"), "psk", "how this side proves who it is", "auth", _LATER_AUTH),
    Key("id", v.IDENTITY, "own address; anyone", "who this side is; `*` may stand in a peer's", "id"),
    Key("round", v.integer(0, 0), "0", "accepted without effect: there is one round"),
)
AUTH_UNSUPPORTED = _unsupported("""
    certs cert pubkeys eap_id aaa_id xauth_id cacerts cacert ca_id groups cert_policy revocation=relaxed
""")
_LATER_MODES = ("transport_proxy", "iptfs", "beet", "pass", "drop")
CHILD = (
    Key("local_ts", v.SELECTORS, "dynamic", "traffic on our side", "local_ts"),
    Key("remote_ts", v.SELECTORS, "dynamic", "traffic on the peer's side", "remote_ts"),
    Key("esp_proposals", v.ESP_PROPOSALS, "default", "suites for ESP, in order of preference", "esp_proposals"),
    Key(
        "mode",
        v.one_of("tunnel", "transport"),
        "tunnel",
        "IPsec mode; transport between two hosts",
        "mode",
        _LATER_MODES,
    ),
    Key("rekey_time", v.TIME, "1h", "age at which the Child SA is rekeyed; 0 never", "rekey_time"),
    Key("life_time", v.TIME, "110% of rekey_time", "age at which it is closed", "life_time"),
    Key("rand_time", v.TIME, "life_time - rekey_time", "up to this much is taken off rekey_time", "rand_time"),
    Key("rekey_bytes", v.SIZE, "0", "octets after which it is rekeyed; 0 never", "rekey_bytes"),
    Key("life_bytes", v.SIZE, "110% of rekey_bytes", "octets after which it is closed", "life_bytes"),
    Key("rekey_packets", v.COUNT, "0", "packets after which it is rekeyed; 0 never", "rekey_packets"),
    Key("life_packets", v.COUNT, "110% of rekey_packets", "packets after which it is closed", "life_packets"),
    Key("start_action", v.START_ACTION, "none", "at load: wait for traffic, set up, or both", "start_action"),
    Key(
        "close_action", v.END_ACTION, "none", "after the peer closed or lost it, or the IKE SA expired", "close_action"
    ),
    Key("dpd_action", v.END_ACTION, "none", "after the peer was found dead", "dpd_action"),
    Key(
        "replay_window",
        v.REPLAY_WINDOW,
        "32",
        "packets a late one may be behind; with several workers at least 4096",
        "replay_window",
    ),
    Key(
        "per_cpu_sas",
        v.PER_CPU_SAS,
        "no",
        "a Child SA for each worker that has packets, beside the one for all (RFC 9611); `encap`: from a UDP port each",
        "per_cpu_sas",
    ),
    Key(
        "interface",
        v.INTERFACE,
        "none",
        "an interface of its own: routes choose what goes in, not policies",
        "interface",
    ),
    Key("copy_ecn", v.BOOLEAN, "yes", "in tunnel mode: ECN goes out and in as RFC 6040 says", "copy_ecn"),
    Key(
        "copy_dscp",
        v.COPY_DSCP,
        "out",
        "in tunnel mode: the DSCP goes from inner to outer headers (`out`), back (`in`), both (`yes`) or neither",
        "copy_dscp",
    ),
    Key("copy_df", v.COPY_DF, "no", "accepted without effect: outer IPv4 headers are sent without DF"),
    Key("sha256_96", v.BOOLEAN, "no", "cut `sha256` off at 96 bits for a peer that does; not negotiated", "sha256_96"),
)
CHILD_UNSUPPORTED = _unsupported("""
    ah_proposals updown hostaccess=no|yes policies=yes
    policies_fwd_out=no inactivity:time=0s ipcomp=no reqid=0 priority=0 hw_offload=no|auto
    mark_in:mark=0|0/0 mark_out:mark=0|0/0 mark_in_sa=no set_mark_in:mark=0|0/0 set_mark_out:mark=0|0/0
    if_id_in:mark=0 if_id_out:mark=0 label label_mode=system tfc_padding=0 rand_bytes:size=0 rand_packets=0
    icmp=no
""")
SECRET = (
    Key("secret", v.SECRET, "", "the pre-shared key", "secret"),
    Key("id", v.IDENTITY, "anyone", "whose key it is; `id1`, `id-peer`, … for several", "ids"),
)
SETTINGS = (
    Key("retransmit_timeout", v.SECONDS, "4.0", "seconds before the first retransmission", "retransmit_timeout"),
    Key("retransmit_base", v.FACTOR, "1.8", "how much longer each wait is than the one before", "retransmit_base"),
    Key("retransmit_tries", v.integer(0, 100), "5", "retransmissions before the peer is given up", "retransmit_tries"),
    Key("keep_alive", v.TIME, "20s", "NAT keepalive interval; 0: none are sent", "keep_alive"),
    Key("half_open_timeout", v.SOME_TIME, "30s", "how long a handshake may stay half open", "half_open_timeout"),
    Key("cookie_threshold", v.integer(0, 10**6), "30", "half-open IKE SAs before cookies; 0 never", "cookie_threshold"),
    Key("fragment_size", v.integer(576, 65535), "1280", "octets of an IP packet with an IKE fragment", "fragment_size"),
    Key("max_message_size", v.integer(4096, 1 << 20), "65535", "octets of an IKE message", "max_message_size"),
    Key("delete_rekeyed_delay", v.TIME, "5s", "how long a rekeyed inbound SA stays", "delete_rekeyed_delay"),
    Key("port", v.PORT, "500", "our IKE port", "port"),
    Key("port_nat_t", v.PORT, "4500", "our port for IKE and ESP in UDP", "port_nat_t"),
    Key(
        "mss_clamp", v.BOOLEAN, "yes", "lower the MSS of TCP connections to what the tunnel carries whole", "mss_clamp"
    ),
    Key(
        "workers",
        v.WORKERS,
        "1",
        "pairs of threads that carry packets, one thread a direction; `auto`: a pair for each CPU we may use",
        "workers",
    ),
    Key(
        "nice",
        v.integer(-20, 19),
        "-10",
        "niceness of these threads; what is below the gateway's own needs `CAP_SYS_NICE`, and else stays",
        "nice",
    ),
    Key(
        "real_time",
        v.BOOLEAN,
        "yes",
        "let these threads run before all ordinary ones while they leave time to others; needs `CAP_SYS_NICE`",
        "real_time",
    ),
    Key(
        "busy_poll",
        v.BOOLEAN,
        "yes",
        "let these threads look for more before they sleep, where packets come soon after each other",
        "busy_poll",
    ),
    Key(
        "affinity",
        v.BOOLEAN,
        "yes",
        "under load, keep the thread that receives to the CPU on which its packets arrive, the one that sends off it",
        "affinity",
    ),
)
SETTINGS_UNSUPPORTED = _unsupported("""
    retransmit_jitter=0 retransmit_limit:time=0 cookie_threshold_ip block_threshold max_packet replay_window=32
    make_before_break=yes reuse_ikesa=yes ikesa_limit=0 init_limit_half_open=0 init_limit_job_load=0
    retry_initiate_interval:time=0 follow_redirects install_routes=yes install_virtual_ip=yes
    close_ike_on_child_failure=no prefer_configured_proposals=yes signature_authentication=yes
    rsa_pss multiple_authentication spi_min spi_max threads load load_modular
""")
