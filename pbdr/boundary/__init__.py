"""The second integral of equation (2): what visibility edges add to the derivative."""
