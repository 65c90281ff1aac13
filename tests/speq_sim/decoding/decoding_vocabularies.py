"""Small vocabularies, and direct implementations of how they encode."""

import itertools
import re
import struct

SPACE = "\u2581"
BYTE_TEXTS = [f"<0x{byte:02X}>" for byte in range(256)]
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+"
ASCII_CUTS = {
    "gpt-2": (_GPT2,),
    # Digits first: spaces before one are the last of what is left of it.
    "smollm": ("[0-9]|[^0-9]+", _GPT2),
    "llama-bpe": (
        r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}"
        r"| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
}
"""How a text is cut before merging, if it is ASCII: by each pattern in turn."""


def gpt2_characters():
    """The character of each byte, by the rule that GPT-2 gives: 0 to 255 in this order, those that
    cannot be printed replaced by the next from 256."""
    characters, following = [], 256
    for byte in range(256):
        printable = chr(byte).isprintable() and not chr(byte).isspace() and byte != 0xAD
        characters.append(chr(byte) if printable else chr(following))
        following += not printable
    return characters


CHARACTERS = gpt2_characters()


def written(text):
    """A text in the alphabet of GPT-2."""
    return "".join(CHARACTERS[byte] for byte in text.encode())


def byte_level(words, pre="gpt-2", **keys):
    """Key-values of a GGUF file whose merges build each word from its left."""
    merges = dict.fromkeys(
        f"{written(word)[:end]} {written(word)[end]}"
        for word in words
        for end in range(1, len(written(word)))
    )
    texts = [*MARKS, *CHARACTERS, *dict.fromkeys(merge.replace(" ", "") for merge in merges)]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": [3] * 3 + [1] * (len(texts) - 3),
        "tokenizer.ggml.merges": list(merges),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    } | keys


def encode_by_rank(text, keys):
    """Tokens of an ASCII text by GPT-2's rule: the pair of lowest rank, everywhere, until none."""
    ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(keys["merges"])}
    numbers = {text: number for number, text in enumerate(keys["tokens"])}
    found, words = [], [text]
    for pattern in ASCII_CUTS[keys["pre"]]:
        words = [part for word in words for part in re.findall(pattern, word)]
    for word in words:
        parts = list(written(word))
        while pairs := [pair for pair in itertools.pairwise(parts) if pair in ranks]:
            best, index = min(pairs, key=ranks.get), 0
            while index < len(parts) - 1:
                if (parts[index], parts[index + 1]) == best:
                    parts[index : index + 2] = ["".join(best)]
                index += 1
        found += [numbers[part] for part in parts]
    return found


def encode_like_llama2c(text, entries):
    """The rule of llama2.c: characters or their bytes, then the best pair, leftmost, until none.

    `entries` are pairs of text and score by token, of which the first 259 are control and bytes.
    """
    numbers = {}
    for token, (piece, _) in enumerate(entries[259:], start=259):
        numbers.setdefault(piece, token)
    tokens = []
    for character in (" " + text) if text else "":
        tokens += [numbers[character]] if character in numbers else [
            3 + byte for byte in character.encode()
        ]  # fmt: skip
    while True:
        best, where = -1e10, None
        for index, pair in enumerate(itertools.pairwise(tokens)):
            if min(pair) < 259:
                continue
            merged = numbers.get(entries[pair[0]][0] + entries[pair[1]][0])
            if merged is not None and entries[merged][1] > best:
                best, where = entries[merged][1], (index, merged)
        if where is None:
            return tokens
        tokens[where[0] : where[0] + 2] = [where[1]]


def llama2c_entries(pieces):
    """Texts and scores of a vocabulary with all control and byte tokens first."""
    first = [("<unk>", 0.0), ("\n<s>\n", 0.0), ("\n</s>\n", 0.0)]
    return [*first, *((text, 0.0) for text in BYTE_TEXTS), *pieces]


def tokenizer_bin(entries):
    """A tokenizer.bin."""
    parts = [struct.pack("<i", max(len(text.encode()) for text, _ in entries))]
    for text, score in entries:
        parts.append(struct.pack("<fi", score, len(text.encode())) + text.encode())
    return b"".join(parts)


def sentence_piece(pieces, **keys):
    """Key-values of a GGUF file with the vocabulary of :func:`llama2c_entries`."""
    entries = llama2c_entries(pieces)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>"]
        + [text.replace(" ", SPACE) for text, _ in entries[3:]],
        "tokenizer.ggml.scores": [score for _, score in entries],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (len(entries) - 259),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    } | keys


def short(keys):
    """Key-values without what all keys begin with."""
    return {key.removeprefix("tokenizer.ggml."): value for key, value in keys.items()}
