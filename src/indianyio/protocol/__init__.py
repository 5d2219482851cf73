"""The INDI wire format, bytes to messages and back. No I/O, no clock; usable alone."""
