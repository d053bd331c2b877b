"""Cross-encoders that run in this process."""
