"""Benchmarks against peers, measured interleaved within one run: ``python -m benchmarks``."""
