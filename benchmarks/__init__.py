"""The benchmark suite: ``python -m benchmarks``, run in a checkout of the project."""
