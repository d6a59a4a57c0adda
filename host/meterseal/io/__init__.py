"""Bytes in and out: serial ports of any kind, pseudo terminals, TCP, HTTP, recordings."""
