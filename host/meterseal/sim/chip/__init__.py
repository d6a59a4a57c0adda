"""The simulated chip: the RTL compiled by Verilator, its flash, its loop, and the bus that it is on."""
