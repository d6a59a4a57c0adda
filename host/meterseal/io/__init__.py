"""All bytes enter and leave here, by serial ports of any kind, pseudo terminals, TCP, HTTP or recordings."""
