"""Terms at edges: what the camera, lights and other surfaces see jump where an edge passes, in mirrors and through glass, too."""
