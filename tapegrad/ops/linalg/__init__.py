"""Linear algebra: products, factorisations, equations."""
