"""One model per group: the cost of each way to bring a group's rows to its trainer, and the engine to use."""
