"""The seal chip on boards that people have: wiring, bitstreams, and what they cost."""
