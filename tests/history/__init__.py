"""The history that asv keeps, in clones of this checkout."""
