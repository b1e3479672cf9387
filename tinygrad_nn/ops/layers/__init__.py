"""Operations of network layers: one for each family of layers, and what they share."""
