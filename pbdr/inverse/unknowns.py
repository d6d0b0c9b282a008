"""What may be unknown: variables that cannot be estimated are refused before anything is rendered."""

from __future__ import annotations

from pbdr.errors import Mistakes, OptionError, ParameterError, raise_all
from pbdr.inverse import remeshing
from pbdr.inverse.priors import Prior, get_priors
from pbdr.parameters import Variables


def check_variables(bound: Variables) -> None:
    """Raise ParameterError for what cannot be estimated, though it has a gradient: entries of poses, and priors that mean nothing.

    Raises OptionError for priors that do not exist. All that is wrong is told (`PbdrError.others`).
    """
    mistakes = Mistakes()
    for key, latent in bound.latents.items():
        name = latent.parameter.name
        with mistakes.collected():
            if latent.parameter.kind == "transform" and not latent.map.poses:
                raise ParameterError(
                    f"variable {latent.variable!r}: {name!r} is a pose, whose twelve numbers are not free: moved one by one, as "
                    f'map {latent.map.name!r} does, they shear and scale. Use map = "se3", the default of poses, or "affine"'
                )
        with mistakes.collected():
            priors = priors_of(bound, latent.variable)
            refusals = {prior.name: prior.refusal(latent.place) for _, prior in priors}
            wrong = [ParameterError(f"prior {prior} of {key!r}: {text}") for prior, text in refusals.items() if text]
            if wrong:
                raise_all(wrong)
    with mistakes.collected():
        remeshing.check(bound)
    mistakes.raise_any()


def priors_of(bound: Variables, variable: str) -> list[tuple[float, Prior]]:
    """Return weights and priors of a variable. Raises OptionError, naming it."""
    try:
        return get_priors(bound.specs[variable].prior)
    except OptionError as error:
        raise OptionError(f"variable {variable!r}: {error}") from None
