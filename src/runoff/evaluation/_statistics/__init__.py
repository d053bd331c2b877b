"""Arithmetic over queries: tests, intervals, power, and choosing among settings."""
