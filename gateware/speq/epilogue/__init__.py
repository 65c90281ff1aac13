"""The epilogue: FP32 results of the array times the scales of their rows and tokens."""
