"""The document as Markdown, for people."""

from __future__ import annotations

from typing import Any

from ironswan.bench.tunnel.document import Document

NOTES = """Every figure is the median over the rounds, with the smallest and the largest behind it. In each round every
peer has its turn, alone, between two new namespaces of this machine. The traffic ends on the gateways themselves, so
both gateways, both ends of the traffic and the kernel share the cores: a figure is that of the whole chain.

TCP with one stream, one stream back, four streams, and one stream each way at once (their sum). UDP with 64 and 512
octets of payload, as many packets as arrive when the sender sends as fast as it can; IMIX: IP packets of 64, 576 and
1420 octets, 7:4:1. RTT: echo requests on the idle tunnel, one after the other, and with pauses of 2 ms; loaded: while
one TCP stream runs at full speed. CPU a gigabyte (10⁹ octets of one TCP stream): `machine` is all busy time of all
cores, kernel and traffic ends included; `gateways` is the user and system time of the gateway processes alone, without
what the kernel did for them in interrupts."""


def markdown(document: Document) -> str:
    """The whole report."""
    parts = ["# Tunnels side by side", _conditions(document["conditions"])]
    parts += [f"## {name}\n\n{what}.\n\n{_table(document, name)}" for name, what in document["offloads"].items()]
    parts += ["## The peers\n\n" + _peers(document), NOTES]
    if reasons := [f"- {row['peer']}, {row['offload']}: {why}" for row in document["results"] for why in row["failed"]]:
        parts.append("## What did not work\n\n" + "\n".join(reasons))
    return "\n\n".join(parts) + "\n"


def _conditions(about: dict[str, Any]) -> str:
    how = f"{about['rounds']} rounds of {about['seconds']} s; link MTU {about['link_mtu']}"
    traffic = f"TCP ({about['congestion_control']}) by {about['tcp_generator']}"
    before = f"{traffic}; {about['privileges']}; {about['busy_share']:.0%} busy before the start"
    return "\n\n".join([f"{about['summary']}.", f"{how}; {before}.", *(f"**{each}**" for each in about["warnings"])])


def _table(document: Document, offload: str) -> str:
    rows = [row for row in document["results"] if row["offload"] == offload]
    keys = [key for key in document["measures"] if any(key in row["figures"] for row in rows)]
    measures = [document["measures"][key] for key in keys]
    lines = [
        "| peer | " + " | ".join(f"{each['title']} {each['unit']}" for each in measures) + " |",
        "|---|" + "---:|" * len(keys),
    ]
    for row in rows:
        cells = (_cell(row["figures"].get(key)) for key in keys)
        noisy = " (noisy)" if row["noisy_rounds"] else ""
        lines.append(f"| {row['peer']}{noisy} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "-"
    spread = f" ({figure['min']:.3g}..{figure['max']:.3g})" if figure["rounds"] > 1 else ""
    return f"{figure['median']:.3g}{spread}"


def _peers(document: Document) -> str:
    lines = ["| peer | what it is | cipher | version |", "|---|---|---|---|"]
    lines += [f"| {p['name']} | {p['title']} | {p['cipher']} | {p['version'] or '-'} |" for p in document["peers"]]
    lines += [f"| {name} | not found: {how} | | |" for name, how in document["not_found"].items()]
    return "\n".join(lines)
