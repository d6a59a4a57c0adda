"""Sans-IO protocols: bytes and times in, events and bytes out."""
