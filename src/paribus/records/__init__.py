"""What a run and a study leave, as plain values."""
