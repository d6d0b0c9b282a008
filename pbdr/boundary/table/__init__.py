"""The table of edges of a scene: its making, and what is known of shapes that touch or pass through each other."""
