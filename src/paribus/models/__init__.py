"""What learns, as `torch.nn.Module`, and the initial values. Importing this package does not import PyTorch."""
