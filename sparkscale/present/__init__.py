"""Draws the blocks of a report for a terminal, as Markdown or as JSON, and exports records."""
