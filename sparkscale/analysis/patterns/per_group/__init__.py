"""One model per group: what each way to bring a group's rows to its trainer costs, and which engine to use."""
