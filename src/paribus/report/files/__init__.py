"""Results as files: pictures, tables."""
