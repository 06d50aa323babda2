"""Who computes: NumPy by hand, PyTorch, the compiled engine."""
