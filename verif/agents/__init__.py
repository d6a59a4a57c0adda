"""cocotb agents: drivers and monitors at the pins of a simulated chip."""
