"""All benchmarks, in their order."""

from __future__ import annotations

from benchmarks import (
    b01_protocol,
    b02_relay_burst,
    b03_relay_length,
    b04_relay_blobs,
    b05_answer_in_server,
    b06_answer_under_indiserver,
    b07_driver_alone,
    b08_many_clients,
    b09_memory,
    b10_idle,
    b11_start,
    b12_driver_answers,
    b13_client,
    b14_image_to_disk,
    b15_floods,
    b16_typed_properties,
)
from benchmarks.suite import Benchmark

__all__ = ["BENCHMARKS"]

BENCHMARKS: tuple[Benchmark, ...] = tuple(
    module.BENCHMARK
    for module in (
        b01_protocol,
        b02_relay_burst,
        b03_relay_length,
        b04_relay_blobs,
        b05_answer_in_server,
        b06_answer_under_indiserver,
        b07_driver_alone,
        b08_many_clients,
        b09_memory,
        b10_idle,
        b11_start,
        b12_driver_answers,
        b13_client,
        b14_image_to_disk,
        b15_floods,
        b16_typed_properties,
    )
)
"""Each benchmark once."""
