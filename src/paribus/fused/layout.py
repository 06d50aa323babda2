"""Columns of a layer's row in the layout of a multilayer perceptron: what it is, and where its numbers lie.

`N_IN`, `N_OUT`: sizes; `WEIGHT`, `BIAS`: where they begin in the flat parameters; `WIDE`: whether BLAS multiplies it;
`INPUT`, `OUTPUT`, `INPUT_GRADIENT`, `OUTPUT_GRADIENT`: where the rows of units begin. Layers that are more than a
linear layer and a ReLU (`mlp_general.py`) have more:

`ACTIVATION`, `NORM`: numbers of `hidden.ACTIVATIONS` and `hidden.NORMS`; `SKIP`: whether the input is added; `SLOPE`:
rows of the activation's derivative, times dropout's factor; `NORMAL`: rows of normalised numbers; `SCALE`, `SHIFT`:
where the norm's parameters begin; `STATISTICS`: where running means, running variances and 1 / deviations begin, a
number for each unit; `ROOM`: three rows, for numbers of each example; `CARRIED`: rows for the gradient that goes past
the layer; `ONES`: rows of ones.
"""

N_IN, N_OUT, WEIGHT, BIAS, WIDE, INPUT, OUTPUT, INPUT_GRADIENT, OUTPUT_GRADIENT = 0, 1, 2, 3, 4, 5, 6, 7, 8
ACTIVATION, NORM, SKIP, SLOPE, NORMAL, SCALE, SHIFT, STATISTICS, ROOM, CARRIED, ONES = (
    9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
)  # fmt: skip
COLUMNS = 20
