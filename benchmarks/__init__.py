"""The asv view of what sparkscale measures."""
