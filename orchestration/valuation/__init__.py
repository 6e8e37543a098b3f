"""What stands behind an amount of the served release: its formula, its parts and its records."""
