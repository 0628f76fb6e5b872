"""The configuration both ironswan and strongSwan read: one tunnel between two hosts, ESP in UDP or plain."""

from __future__ import annotations

from ironswan.bench.tunnel.peer import Site

IKE, ESP = "aes128gcm16-prfsha256-x25519", "aes128gcm16"
CIPHER = "AES-128-GCM"
CHILD = "net"


def text(here: Site, there: Site, secret: str, *, encap: bool = True, more: str = "") -> str:
    """The swanctl.conf of one side; `secret` is hexadecimal and the same on both; `more` goes into the connection."""
    return f"""connections {{
  bench {{
    version = 2
    local_addrs = {here.outer}
    remote_addrs = {there.outer}
    encap = {"yes" if encap else "no"}
    proposals = {IKE}
    {more}
    local {{
      auth = psk
      id = {here.name}.bench
    }}
    remote {{
      auth = psk
      id = {there.name}.bench
    }}
    children {{
      {CHILD} {{
        local_ts = {here.inner}/32
        remote_ts = {there.inner}/32
        esp_proposals = {ESP}
      }}
    }}
  }}
}}
secrets {{
  ike-bench {{
    id-left = left.bench
    id-right = right.bench
    secret = 0x{secret}
  }}
}}
"""
