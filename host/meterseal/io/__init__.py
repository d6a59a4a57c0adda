"""Bytes in and out: serial ports of any kind, pseudo terminals, TCP, manners on a shared pair."""
