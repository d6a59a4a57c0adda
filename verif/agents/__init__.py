"""cocotb agents: what is connected to the pins of a simulated chip."""
