"""Runs the whole chain on one machine: six processes, a scenario, and a report of what each of them saw."""
