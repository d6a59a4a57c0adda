"""How numbers, times and bytes are written: BCD on the wire, hexadecimal digits for readers."""
