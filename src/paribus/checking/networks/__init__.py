"""Whole networks: driven step by step beside a PyTorch twin."""
