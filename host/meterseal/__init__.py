"""The chain that carries a seal's alarms from the meter to the utility and to the customer."""
