"""The shapes that courses use: classes with forward and backward, pairs of functions, modules of PyTorch."""
