"""Decides which part of a suite's grid to measure next, so that a user's questions are answered soonest."""
