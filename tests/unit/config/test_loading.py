"""From a file to a configuration: values, defaults, and every mistake in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_texts import BENCHMARK, SECRETS, connection, only_problem, problems, write

from ironswan.config import load
from ironswan.policy.connection import (
    ChildPolicy,
    Configuration,
    Connection,
    CopyDscp,
    EndAction,
    PerCpuSas,
    StartAction,
)
from ironswan.policy.identity import Identity
from ironswan.policy.proposals import default_proposals, proposal_text
from ironswan.policy.transforms import Protocol


@pytest.fixture
def configure(tmp_path: Path):
    def read(body: str = "", child: str = "", rest: str = SECRETS) -> Configuration:
        return load(write(tmp_path, connection(body, child, rest)))

    return read


def the_connection(configuration: Configuration) -> Connection:
    return configuration.connections[0]


def the_child(configuration: Configuration) -> ChildPolicy:
    return configuration.connections[0].children[0]


def test_benchmark_configuration_loads(tmp_path: Path) -> None:
    configuration = load(write(tmp_path, BENCHMARK))
    found = the_connection(configuration)
    child = the_child(configuration)
    assert (found.name, found.local_addrs, found.remote_addrs, found.encap) == (
        "t",
        ("10.77.0.1",),
        ("10.77.0.2",),
        True,
    )
    assert [proposal_text(p) for p in found.proposals] == ["aes128gcm16-prfsha256-x25519"]
    assert (found.local.id, found.remote.id) == (Identity.parse("a.bench"), Identity.parse("b.bench"))
    assert [proposal_text(p) for p in child.esp_proposals] == ["aes128gcm16"]
    assert str(child.remote_ts[0].end) == "10.102.0.1"
    assert configuration.secrets[0].secret == b"bench only"
    assert configuration.secrets[0].ids == (Identity.parse("a.bench"), Identity.parse("b.bench"))


def test_defaults_are_those_of_swanctl(configure) -> None:
    configuration = configure()
    found, child = the_connection(configuration), the_child(configuration)
    assert (found.rekey_time, found.over_time, found.rand_time, found.keyingtries) == (14400.0, 1440.0, 1440.0, 1)
    assert (child.rekey_time, child.life_time, child.rand_time, child.replay_window) == (3600.0, 3960.0, 360.0, 32)
    assert (child.start_action, child.dpd_action, child.rekey_bytes) == (StartAction.NONE, EndAction.NONE, 0)
    assert found.proposals == default_proposals(Protocol.IKE)
    assert child.esp_proposals == default_proposals(Protocol.ESP)
    assert child.local_ts[0].start is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rekey_time = 10m", (600.0, 660.0, 60.0)),
        ("life_time = 11h", (36000.0, 39600.0, 3600.0)),
        ("rekey_time = 10s\nlife_time = 100s", (10.0, 100.0, 5.0)),
        ("rekey_time = 0", (0.0, 0.0, 0.0)),
        ("rekey_time = 0\nlife_time = 1h", (0.0, 3600.0, 0.0)),
        ("rekey_time = 1d\nrand_time = 5", (86400.0, 95040.0, 5.0)),
    ],
)
def test_lifetimes_follow_from_each_other(configure, text: str, expected: tuple[float, float, float]) -> None:
    child = the_child(configure(child=text))
    assert (child.rekey_time, child.life_time, child.rand_time) == expected


def test_volumes_follow_from_each_other(configure) -> None:
    child = the_child(configure(child="rekey_bytes = 10m\nlife_packets = 1100"))
    assert (child.rekey_bytes, child.life_bytes) == (10 << 20, 11 << 20)
    assert (child.rekey_packets, child.life_packets) == (1000, 1100)


def test_ike_random_time_is_at_most_half_of_the_rekey_time(configure) -> None:
    found = the_connection(configure("rekey_time = 100s\nover_time = 80s"))
    assert (found.over_time, found.rand_time) == (80.0, 50.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start_action = trap|start", StartAction.TRAP_START),
        ("start_action = start|trap", StartAction.TRAP_START),
        ("start_action = route", StartAction.TRAP),
        ("start_action = start", StartAction.START),
    ],
)
def test_start_actions(configure, text: str, expected: StartAction) -> None:
    assert the_child(configure(child=text)).start_action is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", PerCpuSas.NO),
        ("per_cpu_sas = 0", PerCpuSas.NO),
        ("per_cpu_sas = true", PerCpuSas.YES),
        ("per_cpu_sas = Encap", PerCpuSas.ENCAP),
    ],
)
def test_per_cpu_sas(configure, text: str, expected: PerCpuSas) -> None:
    assert the_child(configure(child=text)).per_cpu_sas is expected


@pytest.mark.parametrize(
    ("text", "ecn", "dscp"),
    [
        ("", True, CopyDscp.OUT), ("copy_ecn = no", False, CopyDscp.OUT), ("copy_dscp = in", True, CopyDscp.IN),
        ("copy_dscp = true", True, CopyDscp.YES), ("copy_dscp = 0", True, CopyDscp.NO),
        ("copy_df = no", True, CopyDscp.OUT),
    ],
)  # fmt: skip
def test_the_ds_field_is_copied_as_swanctl_does_it(configure, text: str, ecn: bool, dscp: CopyDscp) -> None:
    only = the_child(configure(child=text))
    assert (only.copy_ecn, only.copy_dscp) == (ecn, dscp)


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("64", 64), ("auto", 0)])
def test_workers_are_a_number_or_as_many_as_there_are_cpus(configure, text: str, expected: int) -> None:
    assert configure(rest=SECRETS + f"settings {{\n workers = {text}\n}}\n").settings.workers == expected


@pytest.mark.parametrize(
    ("word", "expected"), [("clear", EndAction.NONE), ("restart", EndAction.START), ("trap", EndAction.TRAP)]
)
def test_dpd_action_has_its_old_names(configure, word: str, expected: EndAction) -> None:
    assert the_child(configure(child=f"dpd_action = {word}")).dpd_action is expected


def test_addresses_may_be_names_networks_and_ranges(configure) -> None:
    text = "remote_addrs = vpn-1.example, 192.0.2.0/24, 198.51.100.1-198.51.100.9, 2001:db8::1"
    assert the_connection(configure(text)).remote_addrs == (
        "vpn-1.example", "192.0.2.0/24", "198.51.100.1-198.51.100.9", "2001:db8::1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain text", b"plain text"), ("0x00FFa0", b"\x00\xff\xa0"), ("0sAGFi/w==", b"\x00ab\xff"), ('"  "', b"  ")],
)
def test_secret_is_text_hexadecimal_or_base64(configure, text: str, expected: bytes) -> None:
    assert configure(rest=f"secrets {{ ike-x {{ secret = {text}\n }} }}").secrets[0].secret == expected


def test_settings_may_be_called_charon(configure) -> None:
    rest = SECRETS + "charon { retransmit_tries = 3\n port = 5500 }\nsettings { retransmit_base = 2 }"
    found = configure(rest=rest).settings
    assert (found.retransmit_tries, found.port, found.retransmit_base) == (3, 5500, 2.0)


@pytest.mark.parametrize(
    "body",
    ["version = 0", "mobike = no", "mobike = yes", "reauth_time = 0s", "aggressive = no", "send_cert = always",
     "vips =", "local { id = %any }", "dscp = 000000", "childless = allow", "aggressive = disabled", "pull = true",
     "pull = False", "reauth_time = 0d", "mediation = DISABLED", "if_id_in = 0x0"],
)  # fmt: skip
def test_what_asks_for_nothing_special_is_accepted(configure, body: str) -> None:
    assert configure(body)


@pytest.mark.parametrize(
    "child",
    ["inactivity = 0d", "policies = enabled", "ipcomp = disabled", "hw_offload = false", "mark_in = 0x0/0x0",
     "rand_bytes = 0k", "tfc_padding = 0"],
)  # fmt: skip
def test_child_key_that_asks_for_nothing_is_accepted_however_it_is_written(configure, child: str) -> None:
    assert configure(child=child)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("fragmentation = true", "yes"), ("fragmentation = 0", "no"), ("unique = false", "no"), ("unique = keep", "keep")],
)
def test_words_for_yes_and_no_mean_the_same_beside_other_words(configure, text: str, expected: str) -> None:
    assert getattr(the_connection(configure(text)), text.split()[0]) == expected


def test_section_that_serves_as_base_only_may_stand_at_the_top(tmp_path: Path) -> None:
    text = "defaults { remote_addrs = 192.0.2.2\n children { c { } } }\nconnections { a : defaults { } }\n" + SECRETS
    assert load(write(tmp_path, text)).connections[0].children[0].name == "c"


def test_names_may_have_any_printable_character_but_dot_and_slash(tmp_path: Path) -> None:
    text = connection().replace("a {", '"Zürich & co" {')
    assert load(write(tmp_path, text)).connections[0].name == "Zürich & co"
    assert "no dot and no slash" in only_problem(write(tmp_path, text.replace("&", "/"))).message


BODY = "connections.a."
CHILD = "connections.a.children.c."
MANY_SELECTORS = ", ".join(f"10.0.{third}.0/24" for third in range(256))


@pytest.mark.parametrize(
    ("body", "child", "key", "words"),
    [
        ("version = 1", "", BODY + "version", "IKEv1 is not supported"),
        ("version = 3", "", BODY + "version", "not one of"),
        ("remote_adrs = 1.2.3.4", "", BODY + "remote_adrs", "did you mean remote_addrs?"),
        ("vips = 0.0.0.0", "", BODY + "vips", "not supported yet"),
        ("pools = p", "", BODY + "pools", "not supported yet"),
        ("childless = force", "", BODY + "childless", "not supported yet"),
        ("local { auth = pubkey }", "", BODY + "local.auth", "not supported yet"),
        ("remote { auth = eap-mschapv2 }", "", BODY + "remote.auth", "not supported yet"),
        ("local { certs = moon.pem }", "", BODY + "local.certs", "not supported yet"),
        ("local { id = *.example }", "", BODY + "local.id", "wildcard"),
        ("local { id = a.example; }", "", BODY + "local.id", "blank, comma or semicolon"),
        ("remote { id = moon example, sun }", "", BODY + "remote.id", "keyid: may be any text"),
        ("remote { id = email:carol,dave@example }", "", BODY + "remote.id", "blank, comma or semicolon"),
        ("local { id = CN=moon }", "", BODY + "local.id", "distinguished name"),
        ("local { }\nlocal-2 { id = x\n }", "", BODY + "local-2", "several rounds"),
        ("rmote { id = x }", "", BODY + "rmote", "did you mean remote?"),
        ("encap = maybe", "", BODY + "encap", "neither yes nor no"),
        ("rekey_time = 4x", "", BODY + "rekey_time", "not a number with a unit"),
        ("rekey_time = 1m\nrand_time = 2m", "", BODY + "rand_time", "above rekey_time"),
        ("local_port = 70000", "", BODY + "local_port", "out of range"),
        ("local_addrs = 2001:db8::1", "", BODY + "remote_addrs", "another address family"),
        ("local_addrs = 192.0.2.300", "", BODY + "local_addrs", "does not appear to be"),
        ("local_addrs = 192.0.2.9-192.0.2.1", "", BODY + "local_addrs", "is no range"),
        ("local_addrs = ,", "", BODY + "local_addrs", "the list is empty"),
        ("proposals = aes128-sha256-x25591", "", BODY + "proposals", "did you mean 'x25519'?"),
        ("", "mode = beet", CHILD + "mode", "not supported yet"),
        ("", "mode = transport\nremote_ts = 192.0.2.0/30", CHILD + "remote_ts", "more than one address"),
        ("", "mode = transport\nlocal_ts = dynamic[tcp], 10.0.0.1, 10.0.0.2", CHILD + "local_ts", "more than one"),
        ("", "mode = transport\nremote_ts = 10.9.9.9[udp/1701]", CHILD + "remote_ts", "not the host's own address"),
        ("", "mode = tunel", CHILD + "mode", "not one of"),
        ("", "esp_proposals = aes128-sha256-x448", CHILD + "esp_proposals", "key exchange method may be"),
        ("", "esp_proposals = aes128gcm16-sha256", CHILD + "esp_proposals", "write aes128gcm16"),
        ("", "esp_proposals = aes128", CHILD + "esp_proposals", "write aes128-sha256"),
        ("", "copy_df = yes", CHILD + "copy_df", "write copy_df = no"),
        ("", "copy_dscp = both", CHILD + "copy_dscp", "not one of"),
        ("", "copy_ecn = out", CHILD + "copy_ecn", "neither yes nor no"),
        ("", "sha256_96 = 96", CHILD + "sha256_96", "neither yes nor no"),
        ("aggressive = maybe", "", BODY + "aggressive", "not supported yet"),
        ("", "interface = tun%d", CHILD + "interface", "no interface can have this name"),
        ("", "interface = ipsec0", CHILD + "interface", "choose another name"),
        ("", "interface = lo", CHILD + "interface", "the kernel keeps"),
        ("", "interface = all", CHILD + "interface", "the kernel keeps"),
        ("", "interface = tunà", CHILD + "interface", "no interface can have this name"),
        ("", "interface = tun-0123456789ab", CHILD + "interface", "1 to 15 octets"),
        ("", "inactivity = 10m", CHILD + "inactivity", "not supported yet"),
        ("", "mark_in = 0/0xff", CHILD + "mark_in", "not supported yet"),
        ("", "updown = /bin/true", CHILD + "updown", "not supported yet"),
        ("", "replay_window = 0", CHILD + "replay_window", "not supported"),
        ("", "per_cpu_sas = 4", CHILD + "per_cpu_sas", "not one of"),
        ("", "rekey_time = 2h\nlife_time = 1h", CHILD + "life_time", "below rekey_time"),
        ("", "rekey_time = 10s\nrand_time = 11s", CHILD + "rand_time", "above rekey_time"),
        ("", "rekey_bytes = 2g\nlife_bytes = 1g", CHILD + "life_bytes", "below rekey_bytes"),
        ("", "rekey_packets = 2\nlife_packets = 1", CHILD + "life_packets", "below rekey_packets"),
        ("", "local_ts = 10.0.0.0/8\nremote_ts = 2001:db8::/32", CHILD + "remote_ts", "another address family"),
        ("", f"local_ts = {MANY_SELECTORS}", CHILD + "local_ts", "has 256 selectors, and IKE carries 255"),
        ("", "local_ts = 10.0.0.0/33", CHILD + "local_ts", "10.0.0.0/33"),
        ("remote_addrs = %any", "start_action = start", CHILD + "start_action", "a peer that can be called"),
        ("remote_addrs = 0.0.0.0, ::", "start_action = start", CHILD + "start_action", "a peer that can be called"),
        ("remote_addrs = 2001:db8::1-2001:db8::9", "start_action = trap", CHILD + "start_action", "can be called"),
        ("", "inner { }", CHILD + "inner", "unknown section"),
    ],
)
def test_mistake_is_told_in_words(tmp_path: Path, body: str, child: str, key: str, words: str) -> None:
    path = write(tmp_path, connection(body, child))
    problem = only_problem(path)
    assert problem.key == key
    assert words in problem.message
    assert str(problem).startswith(f"{path}:{problem.line}: {key}")


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("conections { }", "conections", "did you mean connections?"),
        ("x = 1", "x", "outside of any section"),
        ("pools { p { addrs = 10.0.0.0/24 } }", "pools", "not supported yet"),
        ("secrets { eap-x { secret = y\n } }", "secrets.eap-x", "not supported yet"),
        ("secrets { ik-x { secret = y\n } }", "secrets.ik-x", "unknown kind"),
        ("secrets { ike-x { id = y\n } }", "secrets.ike-x", "has no secret"),
        ("secrets { ike-x { secret = 0xABC\n } }", "secrets.ike-x.secret", "not hexadecimal"),
        ("secrets { ike-x { secret = 0sA\n } }", "secrets.ike-x.secret", "not Base64"),
        ("secrets { ike-x { secret = 0x\n } }", "secrets.ike-x.secret", "is empty"),
        ("settings { retransmit_tires = 3 }", "settings.retransmit_tires", "did you mean retransmit_tries?"),
        ("settings { retransmit_timeout = nan }", "settings.retransmit_timeout", "not a number"),
        ("settings { retransmit_timeout = 0 }", "settings.retransmit_timeout", "out of range"),
        ("settings { half_open_timeout = 0 }", "settings.half_open_timeout", "a second at least"),
        ("settings { port_nat_t = 500 }", "settings.port_nat_t", "differ from port"),
        ("charon { install_routes = no }", "charon.install_routes", "not supported yet"),
        ("settings { port = 4500 }", "settings.port", "differ"),
        ("connections { a { remote_addrs = 192.0.2.1 } }\n" + SECRETS, "connections.a", "has no children"),
    ],
)
def test_mistake_outside_of_connections_is_told_in_words(tmp_path: Path, text: str, key: str, words: str) -> None:
    problem = only_problem(write(tmp_path, text))
    assert problem.key == key
    assert words in problem.message


def test_ports_that_are_the_same_are_told_at_the_line_of_one(tmp_path: Path) -> None:
    text = "settings {\n port_nat_t = 600\n}\ncharon {\n nice = 0\n port = 600\n}"
    problem = only_problem(write(tmp_path, text))
    assert (problem.line, problem.key, problem.value) == (6, "charon.port", "600")


def test_wildcard_in_our_own_identity_is_told_at_its_line(tmp_path: Path) -> None:
    problem = only_problem(write(tmp_path, connection("local {\n auth = psk\n id = *.example\n}")))
    assert (problem.line, problem.value) == (5, "*.example")


def test_every_mistake_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = connection("encap = maybe\nfoo = 1\nversion = 1", "mode = tunel\nrekey_time = 1x")
    keys = [problem.key.rsplit(".", 1)[1] for problem in problems(write(tmp_path, text))]
    assert keys == ["encap", "foo", "version", "mode", "rekey_time"]


def test_problem_says_value_and_what_is_allowed(tmp_path: Path) -> None:
    problem = only_problem(write(tmp_path, connection("unique = perhaps")))
    assert (problem.line, problem.value, problem.allowed) == (3, "perhaps", "never, no, keep, replace")
    assert str(problem).endswith("unique = perhaps: not one of them (allowed: never, no, keep, replace)")


@pytest.mark.parametrize(
    ("ids", "remote", "found"),
    [
        ("", "sun.example", True),
        ("id = sun.example", "sun.example", True),
        ("id = *.example", "sun.example", True),
        ("id = sun.example", "*.example", True),
        ("id = sun.example", "%any", True),
        ("id = moon.example", "sun.example", True),
        ("id = mars.example", "sun.example", False),
        ("id-1 = moon.example\nid-2 = mars.example", "sun.example", False),
    ],
)
def test_psk_needs_a_secret_that_can_be_the_peers(tmp_path: Path, ids: str, remote: str, found: bool) -> None:
    body = f"local {{ id = moon.example\n }}\nremote {{ id = {remote}\n }}"
    path = write(tmp_path, connection(body, rest=f"secrets {{ ike-x {{ {ids}\nsecret = abc\n }} }}"))
    if found:
        assert load(path)
    else:
        assert "no secret is for sun.example" in only_problem(path).message


def test_two_secrets_for_the_same_identities_are_an_error(tmp_path: Path) -> None:
    rest = "secrets { ike-1 { id = x\nsecret = one\n }\nike-2 { id = x\nsecret = two\n } }"
    problem = problems(write(tmp_path, rest))[0]
    assert "same identities as secrets.ike-1" in problem.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_file_of_secrets_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, BENCHMARK, mode=mode)
    assert f"chmod 600 {path}" in only_problem(path).message


def test_included_file_of_secrets_must_be_private_and_the_other_need_not(tmp_path: Path) -> None:
    included = write(tmp_path, SECRETS, "keys.conf", 0o644)
    path = write(tmp_path, connection(rest="include keys.conf\n"), mode=0o644)
    assert only_problem(path).file == str(included)
    included.chmod(0o600)
    assert load(path)


@pytest.mark.parametrize(("content", "words"), [(b"\xff", "not UTF-8"), (None, "cannot be read")])
def test_unreadable_file_is_a_configuration_error(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x.conf"
    if content is not None:
        path.write_bytes(content)
    assert words in only_problem(path).message


def test_empty_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert load(write(tmp_path, "", mode=0o644)) == Configuration()


def test_thousands_of_connections_are_read(tmp_path: Path) -> None:
    peers = "".join(
        f"p{n} {{ remote_addrs = 192.0.2.2\n remote {{ id = p{n}.example\n }}\n children {{ c {{ }} }} }}\n"
        for n in range(2000)
    )
    secrets = "".join(f"ike-{n} {{ id = p{n}.example\n secret = s{n}\n }}\n" for n in range(2000))
    configuration = load(write(tmp_path, f"connections {{ {peers} }}\nsecrets {{ {secrets} }}"))
    assert len(configuration.connections) == 2000
