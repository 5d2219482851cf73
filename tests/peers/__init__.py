"""What a server promises, asked from outside over real sockets: of ours and of other servers alike."""
