"""The test classes of `runoff.testing.contracts`, one file for each, and what they share."""
