"""Sans-IO protocols: bytes and times go in, events and bytes come out."""
