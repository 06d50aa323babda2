"""The models in NumPy, forward and backward by hand: written to be read beside their formulas."""
