"""Waiting: worker threads, the private event loop, and turns between searches."""
