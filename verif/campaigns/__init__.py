"""Campaigns that take longer than a test: gates, mutation, coverage, soak, and `verify`, which runs all."""
