"""The RS485 physical layer: bits, baud rates, access to the shared bus."""
