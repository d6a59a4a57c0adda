"""Frames of either protocol, explained field by field and composed."""
