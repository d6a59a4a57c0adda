"""Test benches: a block, the firmware, the whole chip, the bus."""
