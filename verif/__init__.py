"""Verification of meterseal, run from the root of the repository; not installed."""
