"""How a boundary segment is connected to the camera: vertices of camera paths, walks to the camera, chains of delta lobes."""
