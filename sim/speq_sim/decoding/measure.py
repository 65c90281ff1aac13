"""Measure a model as it runs here: its text, its speed, and what rotation does to outliers.

    python -m speq_sim.decoding.measure smollm2-135m

generates greedily behind a built-in prompt (or --prompt, or --tokens), times prefill and decoding,
then runs prompt and text once more without and with rotation, and prints crest factors of the
inputs of the rotated layers: per token the largest magnitude over the root mean square.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.backends import FastBackend
from speq_sim.decoding.capture import capture
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama, greedy
from speq_sim.decoding.outliers import crest
from speq_sim.decoding.readers import load_model, load_tokenizer
from speq_sim.decoding.rotation import AttentionRotation, Rotation
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["Speed", "crest_lines", "main", "measure_speed"]

PROMPTS = {
    "smollm2-135m": "Tell me about the sea.",
    "stories15m": "Once upon a time",
}
"""Prompts of the models that come as packages."""


class Speed(NamedTuple):
    """Tokens per second, by the clock and by the processor time of this process.

    The latter says more on a busy machine, if BLAS runs one thread (OMP_NUM_THREADS=1).
    """

    clock: float
    processor: float

    def __str__(self) -> str:
        return f"{self.processor:.1f} tokens/s of processor time, {self.clock:.1f} by the clock"


def measure_speed(
    model: Llama, prompt: list[int], count: int, batch: int
) -> tuple[list[int], Speed, Speed]:
    """Generate, and time it.

    Returns
    -------
    list of int
        `count` tokens behind the prompt.
    Speed
        Of generating them one by one, the prompt's pass included.
    Speed
        Of one pass over `batch` tokens.
    """
    found, decoding = _timed(count, lambda: greedy(model, prompt, count))
    many = np.resize(prompt + found, batch)
    _, prefill = _timed(batch, lambda: model.forward(many, model.cache(batch)))
    return found, decoding, prefill


def _timed(tokens: int, run: Callable[[], Any]) -> tuple[Any, Speed]:
    clock, processor = time.perf_counter(), time.process_time()
    result = run()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return result, Speed(tokens / clock, tokens / processor)


def crest_lines(
    weights: LlamaWeights, tokens: list[int], attention: AttentionRotation
) -> list[str]:
    """Crest factors before o and down, without and with rotation, as lines of a table.

    Over all tokens and layers: median, 99th percentile and largest.
    """
    rotation = Rotation(weights.config, attention)
    plain = capture(weights, FastBackend(weights.matrices), tokens)
    rotated = capture(weights, FastBackend(rotation.fold(weights.matrices)), tokens, rotation)
    lines = [f"{'input of':<10}{'rotation':<10}{'median':>8}{'99 %':>8}{'largest':>9}"]
    for part, kind in (("o", str(attention)), ("down", "all")):
        for inputs, name in ((plain, "none"), (rotated, kind)):
            values = _crests(inputs, part)
            figures = (np.median(values), np.percentile(values, 99), values.max())
            lines.append("{:<10}{:<10}{:>8.2f}{:>8.2f}{:>9.2f}".format(part, name, *figures))
    return lines


def _crests(inputs: dict[str, NDArray[np.float16]], part: str) -> NDArray[np.float64]:
    return np.concatenate([crest(x) for name, x in inputs.items() if name.endswith(f".{part}")])


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ModelError(
            f"--tokens {text} is no list of token numbers: write them as 1,9038,2501"
        ) from None


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help=f"a model file or folder, or one of {', '.join(PROMPTS)}")
    parser.add_argument("--prompt", help="text to answer, or to go on with")
    parser.add_argument("--tokens", help="numbers of tokens instead, such as 1,9038,2501")
    parser.add_argument("--count", type=int, default=112, help="tokens to generate (default: 112)")
    parser.add_argument("--batch", type=int, default=128, help="tokens of the timed prefill")
    parser.add_argument(
        "--attention", type=AttentionRotation, default=AttentionRotation.ALL, metavar="KIND",
        help="rotation before o: none, head or all (default: all)",
    )  # fmt: skip
    arguments = parser.parse_args()
    weights = load_model(arguments.model)
    text = arguments.prompt or PROMPTS.get(arguments.model)
    if arguments.tokens:
        tokenizer, prompt = None, _numbers(arguments.tokens)
    elif text:
        tokenizer = load_tokenizer(arguments.model)
        prompt = tokenizer.chat(text)
    else:
        raise ModelError("there is no built-in prompt for this model: give --prompt or --tokens")
    model = Llama(weights, FastBackend(weights.matrices))
    found, decoding, prefill = measure_speed(model, prompt, arguments.count, arguments.batch)
    print(f"{weights.origin}\none by one: {decoding}\nprefill: {prefill}")
    print(tokenizer.decode(found) if tokenizer else ",".join(map(str, found)))
    print("\n".join(crest_lines(weights, prompt + found, arguments.attention)))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
