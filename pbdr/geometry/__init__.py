"""Kinds of shapes: what both integrals ask of them, one file a kind."""
