"""The home as a whole: what it holds, what ends, how it is moved and whether it is sound."""
