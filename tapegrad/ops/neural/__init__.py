"""Operations of neural networks: activations, layers, losses."""
