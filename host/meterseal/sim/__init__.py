"""Simulates hardware and people: the chip on its bus, the meter, the customer and their phone."""
