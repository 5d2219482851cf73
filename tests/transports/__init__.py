"""Byte streams, on the real thing wherever there is one."""
