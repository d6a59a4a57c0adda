"""Loop sensing, from the voltage at the electrode plates to events."""
