"""Many runs in one compiled computation, no Python between their steps."""
