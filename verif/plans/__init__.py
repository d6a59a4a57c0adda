"""Test plans, results, and the tables made of them."""
