"""Faults of a network's structure, of a loss and of targets that the trial before training finds: how a remark names
one, and how it is read again. The code stands at the remark's end, so that who reads it can look it up."""

from __future__ import annotations

import re

SOFTMAX_BEFORE_LOSS = "softmax-before-loss"
ACTIVATION_ON_OUTPUTS = "activation-on-outputs"
REGRESSION_AS_CLASSES = "regression-as-classes"
SUMMED_LOSS = "summed-loss"
FLIPPED_LOSS = "flipped-loss"
BROADCAST_LOSS = "broadcast-loss"
STRUCTURE = (
    FLIPPED_LOSS,
    BROADCAST_LOSS,
    SOFTMAX_BEFORE_LOSS,
    ACTIVATION_ON_OUTPUTS,
    REGRESSION_AS_CLASSES,
    SUMMED_LOSS,
)

_TAG = re.compile(r" \[([a-z-]+)\]$")
_FORMERLY = "so here it is taken twice"
"""In the remark on a softmax before there were codes."""


def tagged(code: str, remark: str) -> str:
    """A remark that names a fault of structure.

    >>> tagged("summed-loss", "loss=mine: it is a sum")
    'loss=mine: it is a sum [summed-loss]'
    """
    return f"{remark} [{code}]"


def code_of(remark: str) -> str | None:
    """The fault that a remark names; None of one that names none.

    >>> code_of("loss=mine: it is a sum [summed-loss]"), code_of("loss=mine: it is a sum [of squares]")
    ('summed-loss', None)
    """
    found = _TAG.search(remark)
    if found is not None and found[1] in STRUCTURE:
        return found[1]
    return SOFTMAX_BEFORE_LOSS if _FORMERLY in remark else None


def untagged(remark: str) -> str:
    """The remark without its code.

    >>> untagged("loss=mine: it is a sum [summed-loss]"), untagged("as it was")
    ('loss=mine: it is a sum', 'as it was')
    """
    return remark if code_of(remark) is None else _TAG.sub("", remark)
