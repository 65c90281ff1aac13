"""The methods by name, each with the engine that it runs on.

What runs on other hardware than our array gets an engine of the same geometry, port, clock and
memory (iso-bandwidth), unless a caller gives another.
"""

import dataclasses
from collections.abc import Callable

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.engine import Engine
from speq_sim.performance.hierspec import HierSpec
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Chain, Hierarchy, Method, Plain, Tree
from speq_sim.performance.output_stationary import iso_bandwidth
from speq_sim.performance.unit_engine import UnitEngine
from speq_sim.performance.weight_only import WeightOnlyEngine

__all__ = ["METHODS", "NamedMethod", "method_named"]


@dataclasses.dataclass(frozen=True)
class NamedMethod:
    """A method and its engine.

    Parameters
    ----------
    name : str
        For the command line.
    method : Method
        Rounds.
    engine : callable, optional
        The engine that stands in the place of ours.
    lossless : bool
        Whether it gives the tokens of the FP16 model.
    """

    name: str
    method: Method
    engine: Callable[[UnitEngine], Engine] | None = None
    lossless: bool = False

    def machine(self, machine: Machine) -> Machine:
        """The machine with the method's engine."""
        if self.engine is None or not isinstance(machine.engine, UnitEngine):
            return machine
        return dataclasses.replace(machine, engine=self.engine(machine.engine))


def _weight_only(bits: int) -> Callable[[UnitEngine], Engine]:
    return lambda ours: WeightOnlyEngine(ours.design, bits, units=ours.units, lanes=ours.lanes)


def _integer_array(kind: str, bits: int) -> Callable[[UnitEngine], Engine]:
    return lambda ours: iso_bandwidth(kind, bits, ours.design, ours.units)


METHODS: dict[str, NamedMethod] = {
    each.name: each
    for each in (
        NamedMethod("fp16", Plain("FP16", "fp16"), lossless=True),
        NamedMethod("int8", Plain("INT8 weight-only, g128", "int8"), _weight_only(8)),
        NamedMethod("int4", Plain("INT4 weight-only, g128", "int4"), _weight_only(4)),
        NamedMethod("olive8", Plain("OliVe W8A8", "olive8"), _integer_array("olive", 8)),
        NamedMethod("olive4", Plain("OliVe W4A4", "olive4"), _integer_array("olive", 4)),
        NamedMethod("tender8", Plain("Tender W8A8", "tender8"), _integer_array("tender", 8)),
        NamedMethod("tender4", Plain("Tender W4A4", "tender4"), _integer_array("tender", 4)),
        NamedMethod("speq", Chain("SPEQ", "draft", "verify"), lossless=True),
        NamedMethod(
            "hierarchical",
            Hierarchy("DRAFT, MIDDLE, VERIFY", "draft", "middle", "verify"),
            lossless=True,
        ),
        NamedMethod("w4a16", Plain("W4A16, a scale a row", "qverify")),
        NamedMethod("qspec", Chain("QSpec", "qdraft", "qverify")),
        NamedMethod("eagle2", Tree("EAGLE-2 on W4A16", "qverify", depth=3, width=10, nodes=24)),
        NamedMethod("hierspec", HierSpec("HierSpec on W4A16", "qverify")),
    )
}
"""QSpec, EAGLE-2 and HierSpec here are lossless against W4A16 alone. Sizes of trees are those of
the runs on Spec-Bench in SpecMQuant's repository."""


def method_named(name: str) -> NamedMethod:
    """A method.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name not in METHODS:
        raise ModelError(f"method {name!r} does not exist: use one of {', '.join(METHODS)}")
    return METHODS[name]
