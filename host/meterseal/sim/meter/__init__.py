"""Simulates the meter, which is a slave to the terminal and receives the seals' reports."""
