"""Proofs that take compiled simulation: all products of a PE, and planted faults."""
