"""The bottom layer: what every other package agrees on. Standard library and Pydantic only."""
