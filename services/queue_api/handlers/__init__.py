"""One handler per address: decode, one call, reply."""
