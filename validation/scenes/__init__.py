"""Scenes, a file for each thing that they are about. Importing the package activates a variant of Mitsuba, if none is active."""

from pbdr import backend

backend.activate()
