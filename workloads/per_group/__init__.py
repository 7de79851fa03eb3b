"""One model per group: many small models are trained at once, each on the rows of one group."""
