"""The marketing system keeps seal status in customer files, history and alarms; it sends messages."""
