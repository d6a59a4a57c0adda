"""Text messages to the customer, sent by a GSM module."""
