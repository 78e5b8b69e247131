"""The operations, forward and derivative side by side, one family a file."""
