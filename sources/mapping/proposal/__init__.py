"""A first mapping, proposed from what a folder holds: `make map`."""
