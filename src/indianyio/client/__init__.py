"""The client: what a server's devices are, and how to have them do something."""
