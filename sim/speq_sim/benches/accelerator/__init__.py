"""The emitted accelerator under cocotb: bus models, the host library, whole layers."""
