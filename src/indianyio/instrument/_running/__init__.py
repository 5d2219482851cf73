"""What goes on in an instrument while its driver runs: operations, polling, and the gate for clients' writes."""
