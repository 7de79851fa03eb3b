"""Draws the blocks that analysis returns: for a terminal, as Markdown, as JSON; and exports records."""
