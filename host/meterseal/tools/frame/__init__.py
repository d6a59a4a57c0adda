"""Explains frames of either protocol field by field, and composes them."""
