"""speq: generator of arrays that draft with a quarter of each weight's bits and verify with all."""
