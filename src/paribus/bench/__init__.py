"""Side-by-side speed on this machine: one model on one task, each way."""
