"""Contract tests for your own parts, a faulty rerank server, and a pytest plugin."""
