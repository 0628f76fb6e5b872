"""What no single value shows to be wrong: settings that contradict each other, or miss what they need."""

from __future__ import annotations

from ironswan.config.tree import Problems, Section
from ironswan.policy.connection import ChildPolicy, Configuration, Connection, SharedSecret, StartAction
from ironswan.policy.identity import Identity, matches


def check_configuration(configuration: Configuration, tree: Section, problems: Problems) -> None:
    """Notes what does not fit together."""
    for connection in configuration.connections:
        section = tree.sections[connection.name]
        path = f"connections.{connection.name}"
        if not connection.children:
            problems.add(section.place, path, "has no children: nothing would be protected; add `children { name { … } }`")
        if not any(_usable(secret, connection) for secret in configuration.secrets):
            who = " and ".join(str(i) for i in (connection.local.id, connection.remote.id) if i is not None) or "anyone"
            problems.add(section.place, path, f"no secret for {who}: add `secrets {{ ike-… {{ id = …, secret = … }} }}`")
        for child in connection.children:
            inner = section.sections["children"].sections[child.name]
            _check_child(child, connection, f"{path}.children.{child.name}", inner, problems)


def _usable(secret: SharedSecret, connection: Connection) -> bool:
    """Whether a secret could be this connection's: it names nobody, or the peer, or may name a peer not known yet."""
    if not secret.ids or connection.remote.id is None:
        return True
    return any(_may_be(connection.remote.id, identity) for identity in secret.ids)


def _may_be(pattern: Identity, identity: Identity) -> bool:
    return matches(pattern, identity) or matches(identity, pattern)


def _check_child(child: ChildPolicy, connection: Connection, path: str, section: Section, problems: Problems) -> None:
    def note(key: str, message: str) -> None:
        place = section.values[key].place if key in section.values else section.place
        problems.add(place, f"{path}.{key}", message)

    if child.life_time and child.rekey_time > child.life_time:
        note("life_time", "is below rekey_time: the SA would be closed before it is rekeyed")
    for unit in ("bytes", "packets"):
        soft, hard = getattr(child, f"rekey_{unit}"), getattr(child, f"life_{unit}")
        if hard and soft > hard:
            note(f"life_{unit}", f"is below rekey_{unit}: the SA would be closed before it is rekeyed")
    families = [
        {selector.start.version for selector in side if selector.start is not None}
        for side in (child.local_ts, child.remote_ts)
    ]
    if all(families) and not families[0] & families[1] and all(s.start for s in (*child.local_ts, *child.remote_ts)):
        note("remote_ts", "is of another address family than local_ts: no packet could match both")
    callable_peer = any(not _is_range(address) for address in connection.remote_addrs)
    if child.start_action is not StartAction.NONE and not callable_peer:
        note("start_action", "needs a peer that can be called: give remote_addrs an address or a host name")


def _is_range(address: str) -> bool:
    return address == "%any" or "/" in address or ("-" in address and address.split("-")[0].replace(".", "").isdigit())
