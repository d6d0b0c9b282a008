"""Measurements against Mitsuba and on real input: `python -m benchmarks NAME`. Nothing in pbdr imports this package."""
