"""Waiting: one body for sync and async, worker threads, a private event loop, turns on a loop."""
