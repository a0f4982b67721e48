"""First room: the doors that records come in by, and the server that holds them."""
