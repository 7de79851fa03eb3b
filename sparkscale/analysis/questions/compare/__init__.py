"""Compares two sides, case by case: which cases became slower, larger or less accurate?"""
