"""What may be unknown: variables that cannot be estimated are refused before anything is rendered."""

from __future__ import annotations

from pbdr.errors import Mistakes, OptionError, ParameterError, raise_all
from pbdr.inverse import remeshing
from pbdr.inverse.priors import PRIORS, Prior, get_priors
from pbdr.parameters import Variables

#: How even textures are: the weight of `usual_priors` where there is a texel for every pixel, in units of the image loss.
EVEN = 1.0


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


def moves_nothing(bound: Variables) -> bool:
    """Return whether no variable moves geometry or directions: all are colours, materials or lights."""
    parameters = [latent.parameter for latent in bound.latents.values()]
    return not bound.functions and all(one.row.moves_nothing(one.raw) for one in parameters)


def usual_priors(bound: Variables, pixels: float) -> list[tuple[str, float, Prior]]:
    """Return (latent key, weight, prior) of textures whose variables name no prior, from their roles; `pixels`: in all images.

    The weight is in units of the image loss, which near the end is the variance of noise. Where noise has the variance σ² and
    differences of texels a Laplace distribution, the logarithm of the posterior density has the maximum where the mean squared
    error plus a prior is least, whose weight is σ² times texels per pixel, times a number that says how even textures are: EVEN.
    Where many pixels see each texel, it hardly counts. Where lights are unknown, too, there is none: it, not highlights, would
    settle what colours and lights trade.
    """
    found: list[tuple[str, float, Prior]] = []
    if any(latent.parameter.row.emitted for latent in bound.latents.values()):
        return found
    for key, latent in bound.latents.items():
        parameter = latent.parameter
        if parameter.row.prior and len(parameter.shape) == 3 and not bound.spec(latent).prior:
            texels = parameter.shape[0] * parameter.shape[1]
            found.append((key, EVEN * texels / pixels, PRIORS.make(parameter.row.prior)))
    return found


def priors_of(bound: Variables, variable: str) -> list[tuple[float, Prior]]:
    """Return weights and priors of a variable. Raises OptionError, naming it."""
    try:
        return get_priors(bound.specs[variable].prior)
    except OptionError as error:
        raise OptionError(f"variable {variable!r}: {error}") from None
