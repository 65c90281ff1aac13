"""speq_sim: what the hardware must compute, and how fast it would be."""
