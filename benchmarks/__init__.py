"""What the queue does on this machine, measured with real processes: `python -m benchmarks`."""
