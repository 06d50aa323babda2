"""Hand-written layers, losses and optimizers against central differences and known operations: where they depart."""
