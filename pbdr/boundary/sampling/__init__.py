"""Where boundary samples go: masses of edges, points on lights and the edges seen from there, what earlier calls taught."""
