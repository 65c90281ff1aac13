"""The unit: an array behind AXI buses, with memory layout, commands and registers."""
