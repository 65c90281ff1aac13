"""OliVe and Tender as baselines: their PEs and arrays, for area in the same flow as ours.

Reconstructed from public descriptions; docs/baselines.md says what is known and what we chose.
"""
