"""Looking into protected messages, and changing them as only their sender could: with the keys of both hosts."""

from __future__ import annotations

from dataclasses import replace

from simulator import Host, Network

from ironswan.ike import protect
from ironswan.ike.session import IkeSa
from ironswan.ike.types import Datagram
from ironswan.wire.encrypted import EncryptedPayload
from ironswan.wire.message import Payload, read_message, read_payloads


def only_sa(host: Host) -> IkeSa:
    [sa] = host.engine._context.sas.values()
    return sa


def payloads_of(sender: Host, datagram: Datagram) -> tuple[Payload, ...]:
    """What is inside a message of a host, not fragmented, while its peer still has the keys."""
    message = read_message(datagram.data)
    head, [payload] = message.header, message.payloads
    assert isinstance(payload, EncryptedPayload)
    sa = sender.peer.engine._context.sas[head.spi_r if head.initiator else head.spi_i]
    opened = protect.open_payload(sa, head, datagram.data, payload)
    return read_payloads(opened.first, opened.plaintext)


def resealed(sender: Host, datagram: Datagram, payloads: tuple[Payload, ...]) -> Datagram:
    """The same message of the same host with other payloads in it."""
    head = read_message(datagram.data).header
    sa = sender.engine._context.sas[head.spi_i if head.initiator else head.spi_r]
    [data] = protect.seal(sa, head.exchange, head.message_id, payloads, response=head.response)
    return replace(datagram, data=data)


def message_of(sender: Host, exchange: int, message_id: int, payloads: tuple[Payload, ...] = (), **more) -> Datagram:
    """A message that the host would never have sent of its own."""
    sa = only_sa(sender)
    values = {"response": False} | more
    [data] = protect.seal(sa, exchange, message_id, payloads, **values)
    return Datagram(sa.local, sa.remote, data)


def give(net: Network, receiver: Host, datagram: Datagram) -> list[Datagram]:
    """Let a datagram of its peer arrive now; what the receiver sends at once. It arrives nowhere."""
    receiver.engine.receive(Datagram(datagram.remote, datagram.local, datagram.data), net.now)
    events = receiver.engine.take_events()
    receiver.events += events
    for event in events:
        receiver.plane.apply(event)
    return receiver.engine.take_datagrams()


def requests_and_answers(net: Network, sender: Host, *, response: bool) -> list[Datagram]:
    """Everything protected that a host has sent so far, requests or answers."""
    sent = [datagram for _, host, datagram in net.sent if host is sender and len(datagram.data) > 28]
    heads = [(read_message(datagram.data).header, datagram) for datagram in sent]
    return [datagram for head, datagram in heads if head.response is response and head.exchange != 34]
