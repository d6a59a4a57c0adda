"""The simulated chip: the RTL compiled by Verilator, its flash, its loop, and the bus it hangs on."""
