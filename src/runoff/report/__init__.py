"""Reports, loaded only when asked for: text for a terminal, HTML for a notebook."""
