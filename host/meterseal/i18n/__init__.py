"""The catalogue has every text that a person reads, in Chinese and English."""
