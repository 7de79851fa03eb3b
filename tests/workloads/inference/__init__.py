"""Tests of workloads.inference."""
