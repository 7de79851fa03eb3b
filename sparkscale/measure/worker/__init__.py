"""Worker processes: how one is started and talked to, and what runs inside it."""
