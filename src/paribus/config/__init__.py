"""Settings as frozen, validated values, overrides (key=value), and their registries."""
