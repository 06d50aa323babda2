"""A module of the user's that is a multilayer perceptron, brought down to the compiled engine: its forward is read as a
graph (`trace.py`) and recognised (`recognise.py`), proven to come to the same (`prove.py`), and trained under its own
names (`run.py`)."""
