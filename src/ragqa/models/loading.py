"""How every model comes to its weights: a transformer from its folder, then what training made of it."""

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from ragqa import checkpoints, plugins, pretrained
from ragqa.errors import ModelError
from ragqa.models.dropout import quicken
from ragqa.protocols import Tunable, Tuning

_DROPOUTS = ("hidden_dropout_prob", "dropout", "dropout_rate", "resid_pdrop", "embd_pdrop")
_ATTENTION_DROPOUTS = (
    "attention_probs_dropout_prob",
    "attention_dropout",
    "attn_pdrop",
    "activation_dropout",
)

_COPY_AGAIN = "copy or save the model again"


def quieten() -> None:
    """No load reports and bars of transformers among ours: an encoder without its pooler is what is wanted."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings(
        "ignore", category=FutureWarning, module="transformers"
    )  # for its callers, not for ours


def load_transformer(
    folder: Path,
    *,
    attention: str,
    dropout: float = 0.0,
    pooler: bool = False,
    kind: Any = AutoModel,
    whole: bool = False,
) -> Any:
    """The transformer of a Hugging Face folder, float32.

    Args:
        attention: name of an attention function of transformers.
        kind: the class of transformers that is asked for the model.
        pooler: keep it, though nothing here reads it, so that others find the model whole.
        dropout: on hidden states. Attention weights get none: that costs 15 % of a step on CPUs and changed
            nothing measurable.
        whole: every weight must be stored; transformers draws at random those that are not.

    Raises:
        ModelError: no safetensors weights, damaged ones or others than ``config.json`` speaks of, or an architecture
            that transformers does not know.
    """
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no safetensors weights",
            next_step="save the model again with save_pretrained(FOLDER)",
        )
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        for names, share in ((_DROPOUTS, dropout), (_ATTENTION_DROPOUTS, 0.0)):
            for name in names:
                if hasattr(config, name):
                    setattr(config, name, share)
        transformer, loaded = kind.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except SafetensorError as error:
        raise ModelError(f"the weights in {folder} are damaged: {error}", next_step=_COPY_AGAIN) from error
    except RuntimeError as error:  # of other shapes
        raise ModelError(
            f"the weights in {folder} are not those of its config.json", next_step=_COPY_AGAIN
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    if whole and (missing := sorted(loaded["missing_keys"])):
        raise ModelError(
            f"{folder} lacks weights that its config.json speaks of: {missing[0]}"
            + (f" and {len(missing) - 1} more" if missing[1:] else ""),
            next_step=_COPY_AGAIN,
        )
    if not pooler and getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None
    quicken(transformer)
    return transformer


def takes_segments(network: Any) -> bool:
    """Whether the model tells two segments apart: BERT does; DistilBERT has no such input, RoBERTa one kind only."""
    named = "token_type_ids" in inspect.signature(network.forward).parameters
    return named and int(getattr(network.config, "type_vocab_size", 2)) > 1


def overlay(model: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Lay the trained ``tensors``, read from ``folder``, over the backbone that ``model`` has.

    Raises:
        ModelError: the backbone has no such tensor.
    """
    unexpected = model.load_state_dict(tensors, strict=False).unexpected_keys
    if unexpected:
        raise ModelError(f"{folder} holds tensors that its backbone does not have: {unexpected[0]}")


def apply_stored(model: Tunable, folder: Path) -> Tuning:
    """Put into ``model`` what ``folder`` holds: its tuning, standing beside the weights, and its trained tensors."""
    tuning: Tuning = plugins.build("tuning", pretrained.stored_config(folder).get("tuning", {"name": "full"}))
    tuning.apply(model)
    overlay(model, checkpoints.load(folder), folder)  # type: ignore[arg-type]
    return tuning
