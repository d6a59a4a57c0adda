"""What the chip does slowly: the program of its processor, part by part."""
