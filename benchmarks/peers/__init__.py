"""What takes part in the benchmarks besides the code that is measured: drivers, servers and clients."""
