"""The INDI server: drivers of this process, other programs and other servers, behind one port."""
