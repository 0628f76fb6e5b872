"""From a tree of texts to values, with the schema; every mistake is noted, none ends the work."""

from __future__ import annotations

from typing import Any

from ironswan.config import schema
from ironswan.config.fields import LATER, closest, read, shown, shown_name
from ironswan.config.schema import Key
from ironswan.config.sense import check_connections, check_secrets
from ironswan.config.tree import Place, Problems, Section, Value
from ironswan.policy.connection import (
    ChildPolicy,
    Configuration,
    Connection,
    CopyDscp,
    EndAction,
    LocalAuth,
    Mode,
    PerCpuSas,
    RemoteAuth,
    Settings,
    SharedSecret,
    StartAction,
)
from ironswan.policy.proposals import default_proposals
from ironswan.policy.selectors import SelectorTemplate
from ironswan.policy.transforms import Protocol

_TOP = ("connections", "secrets", "settings", "charon")
_TOP_LATER = ("pools", "authorities")
_KNOWN_SECRETS = ("ike", "ike-1", "secret", "id", "id-1")
_SECRET_KINDS = ("eap", "xauth", "ntlm", "ppk", "private", "rsa", "ecdsa", "pkcs8", "pkcs12", "token")


def build(tree: Section, problems: Problems) -> Configuration:
    """The configuration; what is wrong is noted in `problems` and left out."""
    _check_top(tree, problems)
    connections = tree.sections.get("connections")
    built = [_connection(n, s, problems) for n, s in connections.sections.items()] if connections else []
    if connections:
        _no_values("connections", connections, problems)
    secrets = _secrets(tree.sections.get("secrets"), problems)
    configuration = Configuration(tuple(built), secrets, _settings(tree, problems))
    if connections and not problems.cut_short:
        check_connections(configuration, connections, problems)
    return configuration


def _check_top(tree: Section, problems: Problems) -> None:
    sections = ", ".join(_TOP[:3])
    for key, value in tree.values.items():
        name = shown_name(key, value.place, _TOP)
        problems.add(value.place, name, "a value outside of any section", allowed=sections)
    for key, section in tree.sections.items():
        if key in _TOP_LATER:
            if section.values or section.sections:
                problems.add(section.place, key, LATER)
        elif key not in _TOP and not section.is_base:
            name = shown_name(key, section.place, _TOP)
            problems.add(section.place, name, "unknown section" + closest(key, _TOP), allowed=sections)


def _no_values(path: str, section: Section, problems: Problems) -> None:
    for key, value in section.values.items():
        problems.add(value.place, f"{path}.{key}", "a section was expected here: write `name { … }`", value="…")


def _good_name(name: str, place: Place, problems: Problems) -> None:
    if not name.isprintable() or "/" in name or "." in name:
        problems.add(place, name, "a name has printable characters, no dot and no slash")


def _connection(name: str, section: Section, problems: Problems) -> Connection:
    path = f"connections.{name}"
    _good_name(name, section.place, problems)
    if (version := section.values.get("version")) and version.text == "1":
        message = "IKEv1 is not supported: write version = 2"
        problems.add(version.place, f"{path}.version", message, value="1", allowed="0, 2")
        section.values.pop("version")
    fields = read(section, schema.CONNECTION, problems, path, schema.CONNECTION_UNSUPPORTED)
    auths: dict[str, dict[str, Any]] = {"local": {}, "remote": {}}
    children: list[ChildPolicy] = []
    for key, inner in section.sections.items():
        side = next((side for side in auths if key.startswith(side)), None)
        if key == "children":
            _no_values(f"{path}.children", inner, problems)
            children = [_child(f"{path}.children.{n}", n, s, problems) for n, s in inner.sections.items()]
        elif side is not None:
            if auths[side]:
                message = f"a second {side} section: several rounds are not supported yet"
                problems.add(inner.place, f"{path}.{key}", message)
            auths[side] = {"auth": "psk"} | _auth(f"{path}.{key}", inner, problems)
        else:
            message = "unknown section" + closest(key, ("local", "remote", "children"))
            problems.add(inner.place, f"{path}.{key}", message, allowed="local, remote, children")
    rekey = fields.get("rekey_time", 14400.0)
    fields.setdefault("over_time", rekey / 10)
    fields.setdefault("rand_time", min(fields["over_time"], rekey / 2))
    fields.setdefault("proposals", default_proposals(Protocol.IKE))
    return Connection(
        name, tuple(children), local=LocalAuth(**auths["local"]), remote=RemoteAuth(**auths["remote"]), **fields
    )


def _auth(path: str, section: Section, problems: Problems) -> dict[str, Any]:
    for name, inner in section.sections.items():
        known = name.startswith(("cert", "cacert"))
        problems.add(inner.place, f"{path}.{name}", LATER if known else "unknown section", allowed="values only")
    return read(section, schema.AUTH, problems, path, schema.AUTH_UNSUPPORTED)


def _child(path: str, name: str, section: Section, problems: Problems) -> ChildPolicy:
    _good_name(name, section.place, problems)
    for key, inner in section.sections.items():
        problems.add(inner.place, f"{path}.{key}", "unknown section: a child has values only")
    fields = read(section, schema.CHILD, problems, path, schema.CHILD_UNSUPPORTED)
    _lifetimes(fields)
    if "mode" in fields:
        fields["mode"] = Mode(fields["mode"])
    words = (("per_cpu_sas", PerCpuSas), ("copy_dscp", CopyDscp), ("start_action", StartAction))
    for key, kind in (*words, ("close_action", EndAction), ("dpd_action", EndAction)):
        if key in fields:
            fields[key] = kind(fields[key])
    for side in ("local_ts", "remote_ts"):
        fields.setdefault(side, (SelectorTemplate(),))
    fields.setdefault("esp_proposals", default_proposals(Protocol.ESP))
    return ChildPolicy(name, **fields)


def _lifetimes(fields: dict[str, Any]) -> None:
    """Soft and hard limits follow from each other where only one is given, as swanctl does it."""
    if "life_time" in fields and "rekey_time" not in fields:
        fields["rekey_time"] = fields["life_time"] * 10 / 11
    rekey = fields.setdefault("rekey_time", 3600.0)
    fields.setdefault("life_time", rekey * 11 / 10)
    fields.setdefault("rand_time", max(0.0, min(fields["life_time"] - rekey, rekey / 2)))
    for unit in ("bytes", "packets"):
        soft, hard = f"rekey_{unit}", f"life_{unit}"
        if hard in fields and soft not in fields:
            fields[soft] = fields[hard] * 10 // 11
        elif soft in fields:
            fields.setdefault(hard, fields[soft] * 11 // 10)


def _secrets(section: Section | None, problems: Problems) -> tuple[SharedSecret, ...]:
    if section is None:
        return ()
    for key, value in section.values.items():
        path = f"secrets.{shown_name(key, value.place, _KNOWN_SECRETS)}"
        problems.add(value.place, path, "a section was expected here: write `ike-name { … }`")
    found = [_secret(name, inner, problems) for name, inner in section.sections.items()]
    secrets = tuple(secret for secret in found if secret is not None)
    check_secrets(secrets, section, problems)
    return secrets


def _secret(name: str, section: Section, problems: Problems) -> SharedSecret | None:
    if not name.startswith("ike"):
        later = name.startswith(_SECRET_KINDS)
        message = f"secrets of this kind are {LATER}" if later else "unknown kind of secret"
        path = f"secrets.{name if later else shown_name(name, section.place, _KNOWN_SECRETS)}"
        problems.add(section.place, path, message, allowed="ike<suffix>")
        return None
    path = f"secrets.{name}"
    for key, inner in section.sections.items():
        known = shown_name(key, inner.place, _KNOWN_SECRETS)
        problems.add(inner.place, f"{path}.{known}", "unknown section: a secret has values only")
    ids = [key for key in section.values if key.startswith("id")]
    keys = [schema.SECRET[0]]
    keys += [Key(key, schema.SECRET[1].kind, "", "", field=key) for key in ids]
    fields = read(section, keys, problems, path)
    secret = fields.pop("secret", None)
    if secret is None:
        if "secret" not in section.values and not problems.cut_short:
            problems.add(section.place, path, "has no secret: add `secret = …`")
        return None
    return SharedSecret(name, secret, tuple(identity for identity in fields.values() if identity is not None))


def _settings(tree: Section, problems: Problems) -> Settings:
    fields: dict[str, Any] = {}
    values: dict[str, tuple[str, Value]] = {}
    for name in ("settings", "charon"):
        if (section := tree.sections.get(name)) is not None:
            fields |= read(section, schema.SETTINGS, problems, name, schema.SETTINGS_UNSUPPORTED)
            values |= {key: (f"{name}.{key}", value) for key, value in section.values.items()}
            for key, inner in section.sections.items():
                problems.add(inner.place, f"{name}.{key}", "unknown section: settings are values only")
    settings = Settings(**fields)
    if settings.port == settings.port_nat_t:
        key, other = ("port", "port_nat_t") if "port" in fields else ("port_nat_t", "port")
        where, value = values[key]
        problems.add(value.place, where, f"must differ from {other}", value=shown(where, value))
    return settings
