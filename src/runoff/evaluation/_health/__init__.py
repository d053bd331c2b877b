"""What is odd about answers, and what has changed, without judgments."""
