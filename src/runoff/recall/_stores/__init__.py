"""Vector stores as sources: one file per engine."""
