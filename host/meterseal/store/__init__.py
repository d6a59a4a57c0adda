"""The store keeps events, alarms, undelivered messages and diagnostics, in one database for each system."""
