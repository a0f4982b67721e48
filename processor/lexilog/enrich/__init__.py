"""Fourth room: entry and values become the fields of the finished record. Pure functions; no I/O."""
