"""What both integrals share: hits, measures, the motion convention, emission, cameras, films and the one path loop."""
