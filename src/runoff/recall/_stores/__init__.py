"""Vector stores as sources, and filters in their languages."""
