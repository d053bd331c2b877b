"""A recording replayed with other settings, and the runs that come of it."""
