"""Decoding Llama models whose matrix products run on the array."""
