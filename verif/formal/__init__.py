"""Theorems, and the engines that prove them."""
