"""All bytes enter and leave here: serial ports of any kind, pseudo terminals, TCP, HTTP, recordings."""
