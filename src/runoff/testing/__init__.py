"""Checks for parts written elsewhere: see `runoff.testing.contracts`."""
