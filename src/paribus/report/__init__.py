"""Findings and records as tables, pictures and pages."""
