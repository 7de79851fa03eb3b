"""Tests of what draws reports."""
