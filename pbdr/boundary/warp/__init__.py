"""The boundary without boundary samples: rays that move with the edges near them, a second estimator (theory, section 7)."""
