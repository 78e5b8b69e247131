"""Programs as data: scalar expressions (`expr`), later tensor graphs."""
