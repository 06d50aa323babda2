"""Objects that a user wrote by hand: where they keep their parameters and gradients, and how they are made."""
