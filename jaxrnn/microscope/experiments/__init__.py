"""The experiments: each trains what it needs and says what was claimed, measured and found."""
