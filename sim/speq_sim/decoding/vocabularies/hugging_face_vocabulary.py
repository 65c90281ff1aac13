"""The vocabulary of a Hugging Face folder: tokenizer.json, through the library ``tokenizers``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.tokenizer import Tokenizer
from speq_sim.decoding.vocabularies.byte_level import bytes_of
from speq_sim.decoding.vocabularies.chat_template import chat_template
from speq_sim.decoding.vocabularies.gguf_vocabulary import END_TEXTS
from speq_sim.decoding.vocabularies.library import import_tokenizers

__all__ = ["tokenizer_from_hugging_face"]

_SPACE = "\u2581"


def tokenizer_from_hugging_face(folder: Path) -> Tokenizer:
    """Build the tokenizer of a folder with ``tokenizer.json``.

    ``tokenizer_config.json``, ``chat_template.jinja`` and ``generation_config.json`` are read where
    they are.

    Raises
    ------
    ModelError
        If the folder has none, or one of an unknown kind, or the library is missing.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"the folder {folder.name} has no tokenizer: fetch tokenizer.json with the weights"
        )
    library = import_tokenizers()
    program = _read(path)
    try:
        backend = library.Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises nothing narrower.
        raise ModelError(
            f"tokenizer.json of {folder.name} cannot be read ({error}): fetch it again, or update "
            f"the package tokenizers"
        ) from None
    # Control tokens in a text are for Tokenizer.encode to find.
    backend.encode_special_tokens = True
    settings = _read(folder / "tokenizer_config.json")
    added = {entry["content"]: entry for entry in program.get("added_tokens") or ()}
    control = {text: entry["id"] for text, entry in added.items() if entry.get("special")}
    plain, whole = (
        backend.encode("a", add_special_tokens=special).ids for special in (False, True)
    )
    pieces = tuple(_pieces(backend, program, {entry["id"] for entry in added.values()}))
    bos = _token(settings.get("bos_token"), control)
    add_bos = whole[:1] != plain[:1]
    return Tokenizer(
        encoder=lambda text: backend.encode(text, add_special_tokens=False).ids,
        pieces=pieces,
        control=control,
        bos=whole[0] if add_bos else bos,
        add_bos=add_bos,
        stop=_stop(folder, settings, control),
        template=chat_template(_template(folder, settings), control),
        leading_space=pieces[plain[0]].startswith(b" ") if plain else False,
    )


def _read(path: Path) -> dict[str, Any]:
    """The object of a JSON file; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path.name} is no JSON ({error}): fetch it again") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} holds no object: fetch it again")
    return found


def _pieces(backend: Any, program: dict[str, Any], added: set[int]) -> Iterator[bytes]:
    """Bytes of each token, as the decoder says how texts are written."""
    kinds = set(_kinds(program.get("decoder")))
    if not kinds & {"ByteLevel", "ByteFallback", "Metaspace"}:
        raise ModelError(
            f"unknown decoder {sorted(kinds)} in tokenizer.json, known are byte-level and "
            f"SentencePiece vocabularies: use another model"
        )
    for token in range(backend.get_vocab_size(with_added_tokens=True)):
        text = backend.id_to_token(token)
        if text is None:
            yield b""
        elif token in added:
            yield text.encode()
        elif "ByteLevel" in kinds:
            yield bytes_of(text)
        elif len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            yield bytes((int(text[3:5], 16),))
        else:
            yield text.replace(_SPACE, " ").encode()


def _kinds(step: Any) -> Iterator[str]:
    if isinstance(step, dict):
        yield str(step.get("type"))
        for inner in step.get("decoders", ()):
            yield from _kinds(inner)


def _token(entry: Any, control: dict[str, int]) -> int | None:
    """The token of a setting: a text, or an object with its content."""
    text = entry.get("content") if isinstance(entry, dict) else entry
    return control.get(text) if isinstance(text, str) else None


def _stop(folder: Path, settings: dict[str, Any], control: dict[str, int]) -> frozenset[int]:
    found = {control[text] for text in END_TEXTS if text in control}
    for name in ("config.json", "generation_config.json"):
        numbers = _read(folder / name).get("eos_token_id")
        numbers = numbers if isinstance(numbers, list) else [numbers]
        found |= {number for number in numbers if isinstance(number, int)}
    end = _token(settings.get("eos_token"), control)
    return frozenset(found if end is None else found | {end})


def _template(folder: Path, settings: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = settings.get("chat_template")
    return found if isinstance(found, str) else None
