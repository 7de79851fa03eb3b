"""Plans a run: reads its suite, lists the cases, and orders the executions of each round."""
