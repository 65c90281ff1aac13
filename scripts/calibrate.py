"""Pack a model with draft codes that were chosen on text which the model wrote itself.

With a family that has spare codes (spare-1) a weight's draft may be one of several values, and
every one of them decodes to the weight. They are chosen so that errors cancel in the output of each
layer: 4.0 bits as before, every weight exact, and a better draft. The calibration prompts that come
with the project are used, and none that acceptance is measured on.

  python scripts/calibrate.py smollm2-135m build/smollm2-spare-1.safetensors
  python scripts/measure_acceptance.py --codec packed:build/smollm2-spare-1.safetensors ...
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _cli
from speq.formats import family, pack
from speq.formats.packed_writer import PackedWriter
from speq.parameters import TABLE_NAMES
from speq_sim.decoding import LlamaWeights, calibration_prompts, load_model, load_tokenizer
from speq_sim.decoding.calibration import calibration_texts, second_moments

STORY_KIND = "story"
"""What a model without a chat template is taken to write."""


def prompts_of(model: str) -> tuple[list[list[int]], frozenset[int], str]:
    """Calibration prompts as tokens, tokens that end a text, and what kind the prompts are."""
    tokenizer = load_tokenizer(model)
    stories = tokenizer.template is None
    prompts = [p.text for p in calibration_prompts() if (p.kind == STORY_KIND) == stories]
    make = tokenizer.completion if stories else tokenizer.chat
    kind = STORY_KIND if stories else "chat, maths, code"
    return [make(prompt) for prompt in prompts], frozenset(tokenizer.stop), kind


def pack_all(
    weights: LlamaWeights, name: str, moments: dict[str, Any], path: Path, step: Callable
) -> dict[str, Any]:
    """Pack every matrix into a file; figures by layer."""
    members = family(name)
    stored = {weights.stored.get(layer, layer): layer for layer in weights.matrices}
    expected = [(place, "F16", weights.matrices[layer].shape) for place, layer in stored.items()]
    layers = {}
    with PackedWriter(path, members, expected) as file:
        for place, layer in stored.items():
            step(f"packing {layer}")
            tensor = pack(weights.matrices[layer], members, second_moments=moments[layer])
            file.add(place, tensor, weights.origin)
            layers[layer] = {"plain": tensor.reason} if tensor.is_plain else {
                "draft_sqnr_db": round(tensor.draft_sqnr_db, 2),
                "columns_scaled": bool(tensor.scale.columns.any()),
            }  # fmt: skip
    return layers


def main() -> None:
    """Run the command."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("model", help="smollm2-135m, stories15m, or the path of a model")
    parser.add_argument("output", metavar="OUT", type=Path, help="packed file to write")
    parser.add_argument(
        "--family", choices=TABLE_NAMES, default="spare-1", help="code tables (spare-1)"
    )
    parser.add_argument(
        "--tokens", type=int, default=8192, help="tokens of calibration text, at least (8192)"
    )
    parser.add_argument("--length", type=int, default=160, help="tokens of a text (160)")
    parser.add_argument("--seed", type=int, default=0, help="of the text's random numbers (0)")
    arguments = parser.parse_args()
    if min(arguments.tokens, arguments.length) < 1:
        raise ValueError("--tokens and --length must be 1 or more")
    start = time.perf_counter()
    with _cli.progress(None, "reading") as step:
        step("reading the model")
        weights = load_model(arguments.model)
        prompts, stop, kind = prompts_of(arguments.model)
        texts = calibration_texts(
            weights, prompts, arguments.tokens, arguments.length, arguments.seed, stop, step
        )
        moments = second_moments(weights, texts, step)
        layers = pack_all(weights, arguments.family, moments, arguments.output, step)
    figures = {
        "model": weights.origin,
        "output": arguments.output.name,
        "family": arguments.family,
        "prompts": f"{len(prompts)} of kind {kind}",
        "texts": len(texts),
        "tokens": sum(map(len, texts)),
        "seconds": round(time.perf_counter() - start, 1),
        "layers": layers,
    }
    plain = sum("plain" in layer for layer in layers.values())
    _cli.console.print(
        f"{arguments.output.name}: {len(layers)} matrices with {arguments.family}, {plain} of them "
        f"plain; calibrated on {figures['tokens']:,} tokens; {figures['seconds']} s",
        highlight=False,
        soft_wrap=True,
    )
    _cli.write_json(arguments.json, figures)


if __name__ == "__main__":
    _cli.main(main)
