"""Reading and writing at places: indices, masks, tables."""
