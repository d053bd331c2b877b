"""The parts of `runoff.testing.chaos`: replies, faults, and the HTTP server."""
