"""The whole system on one machine: `python -m demo`, which `make demo` calls."""
