"""PyTorch's models, optimizers and data in the loop."""
