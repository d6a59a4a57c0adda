"""Text messages to the customer by a GSM module."""
