"""What a system keeps: events, alarms, what it still has to send, what it found odd. One file per system."""
