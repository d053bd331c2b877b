"""What every room may use: arguments, texts, lazy names, locks, and which errors pass."""
