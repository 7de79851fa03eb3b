"""One model per group: many single-node models at once."""
