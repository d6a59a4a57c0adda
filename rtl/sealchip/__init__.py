"""The seal chip: gateware in Amaranth, and the tables that it shares with everything it talks to."""
