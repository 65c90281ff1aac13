"""Links between devices, for tensor parallelism: what an all-reduce takes."""

import dataclasses

from speq_sim.performance.checks import check_count, check_number

__all__ = ["LINKS", "Link"]


@dataclasses.dataclass(frozen=True)
class Link:
    """The links of one device to the others.

    Parameters
    ----------
    name : str
        For reports.
    bytes_per_second : float
        One device's, in one direction, all its links together.
    latency_seconds : float
        From the first byte sent to the first byte usable at a neighbour, software included.
    """

    name: str
    bytes_per_second: float
    latency_seconds: float

    def __post_init__(self) -> None:
        check_number("bytes per second of a link", self.bytes_per_second, 1.0)
        check_number("latency of a link in seconds", self.latency_seconds, 0.0)

    def all_reduce_seconds(self, nbytes: int, devices: int) -> float:
        """Sum of a vector of `nbytes` over all devices, on all devices.

        The better of a ring, which sends ``2 (n-1)/n`` of the vector in ``2 (n-1)`` steps, and of
        everybody sending everything to everybody, ``n-1`` vectors in one step.
        """
        check_count("devices", devices, 1, 1024)
        if devices == 1:
            return 0.0
        others = devices - 1
        transfer = nbytes / self.bytes_per_second
        ring = 2 * others / devices * transfer + 2 * others * self.latency_seconds
        return min(ring, others * transfer + self.latency_seconds)

    def gather_seconds(self, nbytes: int, devices: int) -> float:
        """A vector of `nbytes` in equal parts on all devices, brought together on one."""
        check_count("devices", devices, 1, 1024)
        if devices == 1:
            return 0.0
        share = (devices - 1) / devices
        return share * nbytes / self.bytes_per_second + self.latency_seconds


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link("pcie4", 32e9, 2e-6),
        Link("pcie5", 64e9, 2e-6),
        Link("nvlink3", 300e9, 2e-6),
        Link("d2d", 256e9, 0.2e-6),
        Link("ideal", 1e18, 0.0),
    )
}
"""Sixteen lanes of PCIe (64 GB/s before coding), a GPU's NVLink of 2020 (600 GB/s both ways),
a die-to-die link. Bandwidths are the standards' nominal ones; latencies are assumptions of ours."""
