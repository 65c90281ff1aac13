"""Bytes that a pass moves between memory and array, and the speedup if time is bytes.

Counted is what one sequence needs: each matrix once a pass, whatever the tokens of the pass; norms
once a pass; a row of the embedding for every token; keys and values of the positions before, once a
pass, and those of the pass's own tokens, which are written. Activations and logits stay on the
chip, and nothing is padded to tiles or bursts. There are no cycles here: time is bytes, so that a
design is no more than its bandwidth (and, where one is given, its peak of multiply-accumulates).
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping

from speq.parameters import Parameters
from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.speculative.generation import Generation

__all__ = [
    "MODES",
    "Costs",
    "PassCost",
    "draft_bits",
    "draft_cost",
    "matrix_bytes",
    "predicted_speedup",
]

MODES: tuple[str, ...] = ("draft", "middle", "verify", "plain", "qdraft", "qverify")
"""What may be read of a matrix. ``plain`` are FP16 weights that were not packed."""

_PLANE_BITS = {"draft": 4, "middle": 8, "verify": 16, "plain": 16, "qdraft": 4, "qverify": 4}

_RECIPE_MODES = ("draft", "middle", "verify")

_HALF_BYTES = 2
"""Of an FP16 number: embedding, scales of INT4, keys and values."""

_SINGLE_BYTES = 4
"""Of an FP32 number: norms, alpha."""


def matrix_bytes(shape: tuple[int, int], mode: str, group: int = 0) -> int:
    """Bytes that are read of a matrix [N, K] in a mode, as the packed file stores them.

    Parameters
    ----------
    shape : tuple of int
        N and K.
    mode : str
        One of :data:`MODES`. Of packed matrices: the planes, for every row an exponent and the
        number of its table (a byte each), for every column an exponent (a byte), and in ``draft``
        alpha (4 bytes a row). Of INT4 matrices: nibbles, and 2 bytes a scale.
    group : int
        Inputs that share a scale of INT4; 0 is all of a row.

    Raises
    ------
    ModelError
        If there is no such mode.
    """
    if mode not in MODES:
        raise ModelError(f"mode {mode!r} is not counted: use one of {', '.join(MODES)}")
    outputs, inputs = shape
    nibbles = outputs * -(-inputs // 2)
    if mode == "plain":
        return _HALF_BYTES * outputs * inputs
    if mode in ("qdraft", "qverify"):
        return nibbles + _HALF_BYTES * outputs * -(-inputs // (group or inputs))
    planes = {
        "draft": nibbles + _SINGLE_BYTES * outputs,
        "middle": 2 * nibbles,
        "verify": 2 * nibbles + outputs * inputs,
    }
    return planes[mode] + 2 * outputs + inputs


@dataclasses.dataclass(frozen=True)
class PassCost:
    """What a pass of one of the models moves.

    Parameters
    ----------
    config : LlamaConfig
        The model.
    weights : mapping of str to int
        Bytes of all matrices, by the mode that they are read in; any other key, such as ``copy``,
        is read in no mode of the array.
    """

    config: LlamaConfig
    weights: Mapping[str, int]

    @classmethod
    def of(
        cls,
        config: LlamaConfig,
        mode: str,
        recipe: Mapping[str, str] | None = None,
        *,
        plain: Collection[str] = (),
        group: int = 0,
    ) -> "PassCost":
        """The cost of a pass in a mode.

        Parameters
        ----------
        config : LlamaConfig
            The model.
        mode : str
            One of :data:`MODES`.
        recipe : mapping of str to str, optional
            Mode of single layers instead: ``draft``, ``middle`` or ``verify``.
        plain : collection of str
            Layers that are FP16, not packed and not INT4, in every mode.
        group : int
            Of INT4.

        Raises
        ------
        ModelError
            If a mode or a layer does not exist.
        """
        weights: dict[str, int] = {}
        shapes = config.matrix_shapes()
        for name, each in _modes_of(config, mode, recipe, plain):
            weights[each] = weights.get(each, 0) + matrix_bytes(shapes[name], each, group)
        return cls(config, weights)

    @classmethod
    def copied(cls, config: LlamaConfig, nbytes: int) -> "PassCost":
        """The cost of a pass over a copy of all matrices that takes `nbytes`."""
        return cls(config, {"copy": nbytes})

    @property
    def position_bytes(self) -> int:
        """Keys and values of one position, in FP16."""
        return self.config.layers * 2 * self.config.kv_width * _HALF_BYTES

    def bytes(self, tokens: int, context: int) -> int:
        """Bytes of a pass.

        Parameters
        ----------
        tokens : int
            Of the pass, 1 or more.
        context : int
            Positions that the cache holds before.
        """
        return sum(self.weights.values()) + self._others(tokens, context)

    def time(self, tokens: int, context: int, design: Parameters | None = None) -> float:
        """Time of a pass, in units of the time that the memory takes for a byte.

        Without a design the array keeps up with the memory. With one, the time of a matrix is that
        of loading it or of computing with it, whichever is longer: with R*C words in the array and
        W words a cycle, both are equal at R*C/W tokens (in modes of full lanes).

        Raises
        ------
        speq.parameters.ParameterError
            If the design lacks a mode that the pass needs.
        """
        if design is None:
            return float(self.bytes(tokens, context))
        loaded = sum(
            nbytes * max(1.0, tokens / _balance(design, mode))
            for mode, nbytes in self.weights.items()
        )
        return loaded + self._others(tokens, context)

    def _others(self, tokens: int, context: int) -> int:
        config = self.config
        norms = len(config.norm_names()) * config.hidden * _SINGLE_BYTES
        embedding = tokens * config.hidden * _HALF_BYTES
        return norms + embedding + (context + tokens) * self.position_bytes


@dataclasses.dataclass(frozen=True)
class Costs:
    """Passes of a method, and of the plain decoding that it is compared with.

    Parameters
    ----------
    plain : PassCost
        Decoding the same tokens one by one.
    target : PassCost
        The verify pass.
    draft, middle : PassCost, optional
        The cheaper ones, where the method has them.
    """

    plain: PassCost
    target: PassCost
    draft: PassCost | None = None
    middle: PassCost | None = None

    def bytes(self, generation: Generation, prompt_tokens: int) -> int:
        """Bytes of all passes of a generation; the prompt's own pass is not counted.

        All cheaper passes of a round are charged with the longest cache that the round may have,
        which is a little more than they read.

        Parameters
        ----------
        generation : Generation
            At least one round.
        prompt_tokens : int
            1 or more.

        Raises
        ------
        ModelError
            If the generation has passes of a model that has no cost.
        """
        return sum(cost.bytes(*what) for cost, what in self._passes(generation, prompt_tokens))

    def time(
        self, generation: Generation, prompt_tokens: int, design: Parameters | None = None
    ) -> float:
        """Time of the same passes (:meth:`PassCost.time`)."""
        passes = self._passes(generation, prompt_tokens)
        return sum(cost.time(*what, design) for cost, what in passes)

    def plain_time(
        self, generation: Generation, prompt_tokens: int, design: Parameters | None = None
    ) -> float:
        """Time of plain decoding of the same tokens."""
        first = prompt_tokens - 1
        contexts = range(first, first + len(generation.tokens))
        return sum(self.plain.time(1, context, design) for context in contexts)

    def _passes(
        self, generation: Generation, prompt_tokens: int
    ) -> Iterator[tuple[PassCost, tuple[int, int]]]:
        """Cost of each pass, with its tokens and the positions before it."""
        # The last token of the prompt is fed with the first round.
        start = prompt_tokens - 1
        for each in generation.rounds:
            longest = start + sum(each.draft_passes) + len(each.middle_passes)
            for tokens in each.draft_passes:
                yield _needed(self.draft, "draft"), (tokens, longest)
            for tokens in each.middle_passes:
                yield _needed(self.middle, "middle"), (tokens, longest)
            yield self.target, (each.verify_tokens, start)
            start += each.emitted


def predicted_speedup(
    generation: Generation, prompt_tokens: int, costs: Costs, design: Parameters | None = None
) -> float:
    """Time of plain decoding of the same tokens over time of the rounds.

    Time is bytes: decoding is bound by memory, and the array keeps up, which it does as long as a
    pass has no more than R*C/W tokens. With a design, longer passes take longer.

    Parameters
    ----------
    generation : Generation
        Rounds that were run; only their numbers of tokens count.
    prompt_tokens : int
        1 or more.
    costs : Costs
        Of the passes.
    design : Parameters, optional
        The design point.

    Raises
    ------
    ModelError
        If the generation has passes of a model that has no cost.
    speq.parameters.ParameterError
        If the design lacks a mode that a pass needs.
    """
    plain = costs.plain_time(generation, prompt_tokens, design)
    return plain / costs.time(generation, prompt_tokens, design)


def draft_cost(config: LlamaConfig, recipe: Mapping[str, str] | None, context: int) -> float:
    """c: time of a draft pass over that of a verify pass, both of one token.

    For :class:`speq_sim.decoding.Adaptive`.

    Parameters
    ----------
    config : LlamaConfig
        The model.
    recipe : mapping of str to str or None
        As :meth:`PassCost.of`.
    context : int
        Positions that the cache holds.

    Raises
    ------
    ModelError
        If a mode or a layer does not exist.
    """
    draft = PassCost.of(config, "draft", recipe)
    return draft.bytes(1, context) / PassCost.of(config, "verify").bytes(1, context)


def draft_bits(
    config: LlamaConfig, recipe: Mapping[str, str] | None = None, plain: Collection[str] = ()
) -> float:
    """Bits of a weight that a draft pass reads, on average over all matrices: 4 to 16.

    Planes alone: no integers of rows and columns, and no alpha. Parameters and errors are those of
    :meth:`PassCost.of`.
    """
    shapes = config.matrix_shapes()
    sizes = {name: outputs * inputs for name, (outputs, inputs) in shapes.items()}
    bits = sum(
        _PLANE_BITS[mode] * sizes[name] for name, mode in _modes_of(config, "draft", recipe, plain)
    )
    return bits / sum(sizes.values())


def _modes_of(
    config: LlamaConfig, mode: str, recipe: Mapping[str, str] | None, plain: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Every layer, and the mode that it is read in."""
    recipe = {} if recipe is None else recipe
    shapes = config.matrix_shapes()
    for name, each in recipe.items():
        if name not in shapes:
            raise ModelError(f"the recipe names layer {name!r}, which the model has not: remove it")
        if each not in _RECIPE_MODES:
            raise ModelError(
                f"the recipe reads layer {name!r} in mode {each!r}: use one of "
                f"{', '.join(_RECIPE_MODES)}"
            )
    for name in shapes:
        yield name, "plain" if name in plain else recipe.get(name, mode)


def _balance(design: Parameters, mode: str) -> float:
    """Tokens up to which a design computes as fast as it loads."""
    if mode not in MODES:
        return float("inf")
    return design.balance_tokens("verify" if mode == "plain" else mode)


def _needed(cost: PassCost | None, what: str) -> PassCost:
    if cost is None:
        raise ModelError(f"the generation has {what} passes, whose cost was not given: give it")
    return cost
