"""How one run is trained, whatever computes: the loop, sampling, evaluation, probes, meters."""
