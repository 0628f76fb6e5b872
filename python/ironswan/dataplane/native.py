"""The data plane in Rust."""

from __future__ import annotations

from ironswan import _native
from ironswan.dataplane.port import DataPlane


def open_dataplane(
    *,
    tun_name: str = "ipsec0",
    mtu: int = 1422,
    workers: int = 1,
    ike_port: int = 500,
    nat_t_port: int = 4500,
    mark: int = 0,
    offloads: str = "auto",
    nice: int = 0,
    real_time: bool = False,
    busy_poll: bool = False,
    affinity: bool = False,
) -> DataPlane:
    """Create the TUN device, bind the UDP ports and start the workers, in this thread's network namespace.

    `workers` 0: as many as there are CPUs for this process.
    `offloads` is "auto", "on" (an error where the kernel has none) or "off". `nice` is the niceness of the workers'
    threads, -20 to 19; `real_time` lets them run before all ordinary ones while nobody suffers from it. Without the
    privilege both stay as they were. `busy_poll` lets them look for more before they sleep, where packets come soon
    after each other; `affinity` keeps the one that receives, under load, to the processor on which its packets arrive.
    Raises OSError.
    """
    return _native.DataPlane(
        tun_name=tun_name,
        mtu=mtu,
        workers=workers,
        ike_port=ike_port,
        nat_t_port=nat_t_port,
        mark=mark,
        offloads=offloads,
        nice=nice,
        real_time=real_time,
        busy_poll=busy_poll,
        affinity=affinity,
    )
