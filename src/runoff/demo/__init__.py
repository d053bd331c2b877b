"""What `runoff demo` searches: the standard library's documentation, and questions about it."""
