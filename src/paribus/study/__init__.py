"""Arms x seeds, how they are carried out, and their records."""
