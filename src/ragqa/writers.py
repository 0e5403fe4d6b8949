"""Settings → who writes: a model in this process, or one behind a server; the same for whatever is to be written."""

from typing import Any

from ragqa import backbone, pretrained
from ragqa.devices import choose_device, choose_precision
from ragqa.drafts import Writer
from ragqa.errors import ConfigError
from ragqa.recipe import Recipe
from ragqa.sampling import sampling_of
from ragqa.writing import open_writer

_PRECISIONS = ("f32", "bf16")


def writer_of(
    model: str,
    *,
    section: str,
    recipe: Recipe,
    base_url: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    max_prompt_tokens: int | None = None,
    max_answer_tokens: int = 64,
    generation: dict[str, Any] | None = None,
    timeout_seconds: float = 120.0,
    retries: int = 2,
) -> Writer:
    """The writer that these settings describe; see ``readers/generative.py`` for each.

    Args:
        section: of the configuration, for messages.

    Raises:
        ConfigError: settings that are out of range or do not go together.
        ModelError: no such model.
    """
    if max_answer_tokens < 1:
        raise ConfigError(f"{section}.max_answer_tokens = {max_answer_tokens}", accepted="1 or more")
    if not 0 < timeout_seconds <= 86_400:
        raise ConfigError(
            f"{section}.timeout_seconds = {timeout_seconds}", accepted="more than 0, up to a day"
        )
    if not 0 <= retries <= 100:
        raise ConfigError(f"{section}.retries = {retries}", accepted="0 to 100")
    options: dict[str, Any] = {
        "recipe": recipe,
        "max_tokens": max_prompt_tokens,
        "max_answer_tokens": max_answer_tokens,
        "sampling": sampling_of(generation),
    }
    if base_url is None:
        return _local(section, model, device, precision, options)
    if model == backbone.BUILTIN:
        raise ConfigError(
            f"{section}.base_url is set, but not which model of that server writes",
            accepted=f"{section}.model=NAME",
            next_step=f"ragqa doctor --set reader.base_url={base_url}, which lists them",
        )
    # Another machine writes: nothing of HTTP is loaded for those that do it themselves.
    from ragqa.endpoint import Endpoint
    from ragqa.endpoint_writer import EndpointWriter

    endpoint = Endpoint(base_url, model, timeout_seconds=timeout_seconds, retries=retries)
    return EndpointWriter(endpoint, **options)


def _local(section: str, model: str, device: str, precision: str, options: dict[str, Any]) -> Writer:
    device = choose_device(device)
    precision = choose_precision(precision, device)
    if precision not in _PRECISIONS:
        raise ConfigError(f"{section}.precision = {precision}", accepted=f"auto, {', '.join(_PRECISIONS)}")
    folder = (
        pretrained.folder_of("generator", model) if model == backbone.BUILTIN else backbone.resolve(model)
    )
    return open_writer(folder, device=device, precision=precision, **options)
