"""What no single value shows to be wrong: settings that contradict each other, or miss what they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address

from ironswan.config.fields import shown
from ironswan.config.tree import Problems, Section
from ironswan.policy.connection import ChildPolicy, Configuration, Connection, Mode, SharedSecret, StartAction
from ironswan.policy.hosts import is_host
from ironswan.policy.identity import Identity, IdType, matches
from ironswan.policy.selectors import MAX_SELECTORS, SelectorTemplate

Note = Callable[[str, str], None]


def check_connections(configuration: Configuration, tree: Section, problems: Problems) -> None:
    """Notes what does not fit together in a connection, its children and the secrets."""
    finder = _SecretFinder(configuration.secrets)
    refused = any(problem.key.startswith("secrets.") for problem in problems.found)
    for connection in configuration.connections:
        section = tree.sections[connection.name]
        path = f"connections.{connection.name}"
        if not connection.children:
            message = "has no children, so nothing would be protected: add `children { name { … } }`"
            problems.add(section.place, path, message)
        # A secret that was itself refused is not reported as missing as well.
        if not refused and not finder.has_one_for(connection):
            problems.add(section.place, path, _no_secret(connection))
        _check_connection(connection, _noter(section, path, problems))
        for name, side in section.sections.items():
            if name.startswith("local") and "id" in side.values:
                _check_local(connection.local.id, _noter(side, f"{path}.{name}", problems))
        for child in connection.children:
            inner = section.sections["children"].sections[child.name]
            _check_child(child, connection, _noter(inner, f"{path}.children.{child.name}", problems))


def check_secrets(secrets: tuple[SharedSecret, ...], section: Section, problems: Problems) -> None:
    """Notes secrets that differ for the same identities: which one is meant could not be told."""
    first: dict[frozenset[Identity], SharedSecret] = {}
    for secret in secrets:
        other = first.setdefault(frozenset(secret.ids), secret)
        if other.secret != secret.secret:
            message = f"names the same identities as secrets.{other.name}, with another secret"
            problems.add(section.sections[secret.name].place, f"secrets.{secret.name}", message)


class _SecretFinder:
    """Whether a connection has a secret that could be its own, without a look at every secret for every connection."""

    def __init__(self, secrets: Iterable[SharedSecret]) -> None:
        self.for_anyone = False
        self.exact: set[Identity] = set()
        self.groups: list[tuple[Identity, ...]] = []
        for secret in secrets:
            self.for_anyone |= not secret.ids
            self.exact.update(secret.ids)
            self.groups.append(secret.ids)

    def has_one_for(self, connection: Connection) -> bool:
        """A secret for anyone, one that names the peer, or one that names us alone."""
        if self.for_anyone or (connection.remote.id is None and self.groups) or connection.remote.id in self.exact:
            return True
        return any(_fits(ids, connection.local.id, connection.remote.id) for ids in self.groups)


def _fits(ids: tuple[Identity, ...], local: Identity | None, remote: Identity | None) -> bool:
    if remote is not None and any(matches(remote, identity) or matches(identity, remote) for identity in ids):
        return True
    return local is not None and all(matches(identity, local) for identity in ids)


def _no_secret(connection: Connection) -> str:
    peer = "anyone" if connection.remote.id is None else str(connection.remote.id)
    names = "" if connection.remote.id is None else f"id = {peer}, "
    return f"authenticates with psk, but no secret is for {peer}: add secrets {{ ike-… {{ {names}secret = … }} }}"


def _noter(section: Section, path: str, problems: Problems) -> Note:
    def note(key: str, message: str) -> None:
        value = section.values.get(key)
        place = section.place if value is None else value.place
        problems.add(place, f"{path}.{key}", message, value=shown(path, value) if value else "")

    return note


def _check_local(identity: Identity | None, note: Note) -> None:
    if identity is not None and identity.type in (IdType.FQDN, IdType.RFC822_ADDR) and b"*" in identity.data:
        note("id", "has a wildcard, which only the peer's may have")


def _check_connection(connection: Connection, note: Note) -> None:
    if connection.rekey_time and connection.rand_time > connection.rekey_time:
        note("rand_time", "is above rekey_time: the IKE SA could be rekeyed at once")
    families = [_families(addresses) for addresses in (connection.local_addrs, connection.remote_addrs)]
    if all(families) and not families[0] & families[1]:
        note("remote_addrs", "is of another address family than local_addrs")


def _families(addresses: Iterable[str]) -> set[int]:
    """The address families; both, when a text does not tell."""
    found: set[int] = set()
    for text in addresses:
        try:
            found.add(ip_address(text.partition("/")[0].partition("-")[0]).version)
        except ValueError:
            return {4, 6}
    return found


def _check_child(child: ChildPolicy, connection: Connection, note: Note) -> None:
    if child.life_time and child.rekey_time > child.life_time:
        note("life_time", "is below rekey_time: the SA would be closed before it is rekeyed")
    elif child.rekey_time and child.rand_time > child.rekey_time:
        note("rand_time", "is above rekey_time: the SA could be rekeyed at once")
    if child.life_bytes and child.rekey_bytes > child.life_bytes:
        note("life_bytes", "is below rekey_bytes: the SA would be closed before it is rekeyed")
    if child.life_packets and child.rekey_packets > child.life_packets:
        note("life_packets", "is below rekey_packets: the SA would be closed before it is rekeyed")
    for key, selectors in (("local_ts", child.local_ts), ("remote_ts", child.remote_ts)):
        if len(selectors) > MAX_SELECTORS:
            note(
                key, f"has {len(selectors)} selectors, and IKE carries {MAX_SELECTORS}: join neighbours, or add a child"
            )
    local, remote = _selector_families(child.local_ts), _selector_families(child.remote_ts)
    if not local & remote:
        note("remote_ts", "is of another address family than local_ts: no packet could match both")
    if child.start_action is not StartAction.NONE and not any(map(is_host, connection.remote_addrs)):
        note("start_action", "needs a peer that can be called: give remote_addrs an address or a host name")

    if child.mode is Mode.TRANSPORT:
        _check_hosts("local_ts", child.local_ts, connection.local_addrs, note)
        _check_hosts("remote_ts", child.remote_ts, connection.remote_addrs, note)


def _check_hosts(key: str, selectors: tuple[SelectorTemplate, ...], addresses: tuple[str, ...], note: Note) -> None:
    """Transport mode carries packets of the two hosts themselves (RFC 4301 4.1)."""
    fixed = {address for s in selectors for address in (s.start, s.end) if address is not None}
    if not fixed:
        return
    if len(fixed) > 1:
        note(key, "has more than one address, which transport mode cannot carry: use mode = tunnel, or dynamic")
    elif all(map(_is_address, addresses)) and str(*fixed) not in addresses:
        note(key, f"is not the host's own address ({', '.join(addresses)}), which transport mode needs: use dynamic")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _selector_families(selectors: tuple[SelectorTemplate, ...]) -> set[int]:
    """The address families; both for `dynamic`, which is not known yet."""
    return {version for s in selectors for version in ((4, 6) if s.start is None else (s.start.version,))}
