"""Scene parameters θ: their names, how they are selected, bounded, mapped from latents and written to the scene."""

from pbdr.parameters.functions import FunctionSpec
from pbdr.parameters.names import (
    Parameter,
    is_radiometric,
    list_parameters,
    looking,
    of_sensor,
    own_entries,
    owner_of,
    resolve,
    traverse,
)
from pbdr.parameters.probing import probe
from pbdr.parameters.values import read, write
from pbdr.parameters.variables import Variables, VariableSpec

__all__ = [
    "FunctionSpec",
    "Parameter",
    "VariableSpec",
    "Variables",
    "is_radiometric",
    "list_parameters",
    "looking",
    "of_sensor",
    "own_entries",
    "owner_of",
    "probe",
    "read",
    "resolve",
    "traverse",
    "write",
]
