"""The marketing system: seal status in the customer's file, history, alarms, messages, a web page."""
