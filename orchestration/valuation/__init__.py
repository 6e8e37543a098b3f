"""What is behind an amount of the served release, and the price of a new deal by its parameters."""
