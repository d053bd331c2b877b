"""What a second stage costs on this machine, and which window fits a deadline."""
