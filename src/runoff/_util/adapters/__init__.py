"""What the adapters of both frameworks share, and nothing else uses: options, templates, scores."""
