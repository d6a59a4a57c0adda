"""The seal chip on common FPGA boards: wiring, bitstreams, and their size, speed and power."""
