"""The control core: a small processor, its firmware, the flash, the log and the records."""
