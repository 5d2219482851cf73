"""The meaning of INDI messages: vectors, members, events, snooping. No I/O, no clock."""
