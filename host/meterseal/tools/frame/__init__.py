"""Frames of either protocol, taken apart and put together for people."""
