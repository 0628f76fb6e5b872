"""Texts and helpers that the tests of the configuration share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironswan.config import load
from ironswan.errors import ConfigurationError, Problem

BENCHMARK = """\
connections { t {
  version = 2
  local_addrs = 10.77.0.1
  remote_addrs = 10.77.0.2
  encap = yes
  proposals = aes128gcm16-prfsha256-x25519
  local {
    auth = psk
    id = a.bench
  }
  remote {
    auth = psk
    id = b.bench
  }
  children { c {
    local_ts = 10.101.0.1/32
    remote_ts = 10.102.0.1/32
    esp_proposals = aes128gcm16
    mode = tunnel
  } }
} }
secrets { ike-bench {
  id-1 = a.bench
  id-2 = b.bench
  secret = "bench only"
} }
"""
SECRETS = "secrets { ike-x { secret = abc } }\n"


def write(directory: Path, text: str, name: str = "site.conf", mode: int = 0o600) -> Path:
    path = directory / name
    path.write_text(text)
    path.chmod(mode)
    return path


def connection(body: str = "", child: str = "", rest: str = SECRETS) -> str:
    """A file with one connection `a`, its child `c`, and lines for each."""
    return f"connections {{ a {{\nremote_addrs = 192.0.2.2\n{body}\nchildren {{ c {{\n{child}\n}} }}\n}} }}\n{rest}"


def problems(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return caught.value.problems


def only_problem(path: Path) -> Problem:
    found = problems(path)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]
