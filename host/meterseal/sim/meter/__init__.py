"""The simulated meter: slave to the terminal, receiver of the seals' reports."""
