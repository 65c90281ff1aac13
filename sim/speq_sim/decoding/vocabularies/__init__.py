"""Tokenizers from what a model's file holds: GGUF, llama2.c, Hugging Face."""

from speq_sim.decoding.vocabularies.gguf_vocabulary import tokenizer_from_gguf
from speq_sim.decoding.vocabularies.hugging_face_vocabulary import tokenizer_from_hugging_face
from speq_sim.decoding.vocabularies.llama2c_vocabulary import tokenizer_from_llama2c

__all__ = ["tokenizer_from_gguf", "tokenizer_from_hugging_face", "tokenizer_from_llama2c"]
