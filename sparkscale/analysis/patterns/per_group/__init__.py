"""One model per group: what each way of reaching the groups costs, and which to use."""
