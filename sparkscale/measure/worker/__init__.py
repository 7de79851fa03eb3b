"""Worker processes: how they are started and called, and the code that runs inside them."""
