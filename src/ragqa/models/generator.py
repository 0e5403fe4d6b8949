"""A language model that writes answers: any sequence-to-sequence or causal model of transformers."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
)

from ragqa import pretrained
from ragqa.backbone import digest
from ragqa.errors import ModelError
from ragqa.models.loading import apply_stored, load_transformer
from ragqa.protocols import Tuning
from ragqa.sampling import GREEDY, Sampling
from ragqa.surface import Written

IGNORED = -100
"""The label of a place that is not learned."""


class Generator(nn.Module):
    """The whole language model is ``encoder``, where tunings look for what they change.

    ``forward`` takes prompts and answers as ``labels`` and returns the mean negative log-likelihood of each answer's
    tokens, (N,). Of a sequence-to-sequence model prompts (N, L) go in, and labels (N, T) are answers alone; of a causal
    one both stand in one row, and labels (N, L) are ``IGNORED`` over the prompt.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.encoder = network
        self.is_seq2seq = bool(network.config.is_encoder_decoder)
        self._scores_places = "logits_to_keep" in inspect.signature(network.forward).parameters
        self.peft_task = "SEQ_2_SEQ_LM" if self.is_seq2seq else "CAUSAL_LM"
        # Penalties, bans and forced tokens of a model's own would make its answers another thing than what is trained.
        own = network.generation_config
        ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
        self.ends = frozenset(int(end) for end in ends if end is not None)
        network.generation_config = GenerationConfig(
            bos_token_id=own.bos_token_id,
            eos_token_id=own.eos_token_id,
            pad_token_id=own.pad_token_id,
            decoder_start_token_id=own.decoder_start_token_id,
        )

    @classmethod
    def from_folder(cls, folder: Path, dropout: float = 0.0) -> "Generator":
        """The language model in a Hugging Face folder, float32.

        Raises:
            ModelError: there is none, or it only encodes.
        """
        config = pretrained.stored_config(folder)
        if not is_writer(folder):
            raise ModelError(
                f"{folder} holds no model that writes ({', '.join(config.get('architectures') or ['?'])})",
                accepted="a sequence-to-sequence or causal language model, such as T5, BART, GPT-2, Llama, Qwen",
            )
        kind = AutoModelForSeq2SeqLM if config.get("is_encoder_decoder") else AutoModelForCausalLM
        return cls(load_transformer(folder, attention="sdpa", dropout=dropout, kind=kind, whole=True))

    def room(self, answer_tokens: int, tuning: Tuning | None = None) -> int:
        """Tokens that a prompt may have beside an answer of so many, and what ``tuning`` shall put in front."""
        config = self.encoder.config
        parts = [config, getattr(config, "encoder", None), getattr(config, "decoder", None)]
        known = [p for part in parts if (p := getattr(part, "max_position_embeddings", None))]
        positions = min(known, default=2**31)
        added = getattr(self.encoder, "peft_config", {}).values()
        taken = sum(getattr(one, "num_virtual_tokens", 0) for one in added)
        taken += 0 if tuning is None else tuning.added_tokens
        return int(positions) - taken - (0 if self.is_seq2seq else answer_tokens)

    def forward(self, ids: Tensor, mask: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        if self.is_seq2seq:
            scores = self.encoder(input_ids=ids, attention_mask=mask, labels=labels).logits
        else:
            # Scores over the vocabulary are what takes memory. Virtual tokens of a trained prompt stand in front, so
            # places count from the end of the row.
            learned = (labels[:, 1:] != IGNORED).any(0).nonzero().squeeze(1)
            places, labels = learned - ids.shape[1], labels[:, learned + 1]
            if self._scores_places:
                scores = self.encoder(input_ids=ids, attention_mask=mask, logits_to_keep=places).logits
            else:
                scores = self.encoder(input_ids=ids, attention_mask=mask).logits[:, places]
        losses = nn.functional.cross_entropy(
            scores.float().transpose(1, 2),
            labels,
            ignore_index=IGNORED,
            reduction="none",
            label_smoothing=smoothing,
        )
        known = labels != IGNORED
        mean: Tensor = losses.sum(1) / known.sum(1).clamp(min=1)
        return mean

    @torch.no_grad()
    def write(
        self,
        prompts: Sequence[Sequence[int]],
        tokenizer: Any,
        *,
        max_tokens: int,
        sampling: Sampling = GREEDY,
        heard: Callable[[int], None] | None = None,
    ) -> list[Written]:
        """What the model writes for each prompt, chosen as ``sampling`` says.

        Args:
            heard: gets each token as it is written, where there is one prompt.
        """
        choosing = _choosing(sampling, tokenizer)
        with torch.random.fork_rng(enabled=sampling.seed is not None):
            if sampling.seed is not None:
                torch.manual_seed(sampling.seed)
            return self._written(prompts, tokenizer, max_tokens, choosing, heard)

    def _written(
        self,
        prompts: Sequence[Sequence[int]],
        tokenizer: Any,
        max_tokens: int,
        choosing: Mapping[str, Any],
        heard: Callable[[int], None] | None,
    ) -> list[Written]:
        if not self.is_seq2seq and hasattr(self.encoder, "prompt_encoder"):
            # peft counts places from the left, padding included: rows of one batch have one length.
            found: dict[int, Written] = {}
            for length in {len(prompt) for prompt in prompts}:
                rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
                written = self._write([prompts[row] for row in rows], tokenizer, max_tokens, choosing, heard)
                found |= zip(rows, written, strict=True)
            return [found[row] for row in range(len(prompts))]
        return self._write(prompts, tokenizer, max_tokens, choosing, heard)

    def _write(
        self,
        prompts: Sequence[Sequence[int]],
        tokenizer: Any,
        max_tokens: int,
        choosing: Mapping[str, Any],
        heard: Callable[[int], None] | None,
    ) -> list[Written]:
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), int(tokenizer.pad_token_id))
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            # A causal model goes on from the last place: the prompt stands on the right.
            places = slice(0, len(prompt)) if self.is_seq2seq else slice(longest - len(prompt), longest)
            ids[row, places], mask[row, places] = torch.tensor(prompt), 1
        device = next(self.parameters()).device
        ends = self.ends | {int(tokenizer.eos_token_id)}
        was_training = self.training
        self.eval()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Position ids are not supported")
            found = self.encoder.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=max_tokens,
                num_beams=1,
                **choosing,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=sorted(ends),
                output_logits=True,
                return_dict_in_generate=True,
                streamer=None if heard is None or len(prompts) > 1 else _Streamer(heard, ends),
            )
        self.train(was_training)
        steps = torch.stack(found.logits, 1).float().log_softmax(-1)
        tokens = found.sequences[:, -steps.shape[1] :]
        likelihoods = steps.gather(2, tokens.unsqueeze(2)).squeeze(2).tolist()
        return [_written(row, values, ends) for row, values in zip(tokens.tolist(), likelihoods, strict=True)]


class _Streamer:
    """What ``generate`` gives its tokens to; the first are those that it goes on from."""

    def __init__(self, heard: Callable[[int], None], ends: frozenset[int]) -> None:
        self._heard, self._ends = heard, ends
        self._begun = self._ended = False

    def put(self, tokens: Tensor) -> None:
        for token in tokens.flatten().tolist() if self._begun else ():
            self._ended |= token in self._ends
            if not self._ended:
                self._heard(token)
        self._begun = True

    def end(self) -> None:
        """Nothing is held back here."""


def _choosing(sampling: Sampling, tokenizer: Any) -> dict[str, Any]:
    """``sampling`` in the words of transformers, whose own default would draw from the 50 likeliest only."""
    found: dict[str, Any] = {"do_sample": sampling.temperature > 0}
    if found["do_sample"]:
        found |= {
            "temperature": sampling.temperature,
            "top_k": sampling.top_k or 0,
            "top_p": sampling.top_p or 1.0,
        }
        found |= {} if sampling.min_p is None else {"min_p": sampling.min_p}
    if sampling.repetition_penalty is not None:
        found["repetition_penalty"] = sampling.repetition_penalty
    if sampling.stops:
        found |= {"stop_strings": sampling.stops, "tokenizer": tokenizer}
    return found


def is_writer(folder: Path) -> bool:
    """Whether ``folder`` holds a language model that goes on from a text, as its ``config.json`` says."""
    if not (folder / "config.json").is_file():
        return False
    return any(
        name.endswith(_WRITERS) for name in pretrained.stored_config(folder).get("architectures") or ()
    )


_WRITERS = ("LMHeadModel", "ForCausalLM", "ForConditionalGeneration", "EncoderDecoderModel")
"""How transformers' classes of models that write end."""


def _written(tokens: list[int], likelihoods: list[float], ends: frozenset[int]) -> Written:
    last = next((place for place, token in enumerate(tokens) if token in ends), None)
    count = len(tokens) if last is None else last + 1
    ids = tuple(token for token in tokens[:count] if token not in ends)
    return Written(ids, sum(likelihoods[:count]) / max(1, count), last is not None)


def load_generator(folder: Path) -> Generator:
    """The generator in ``folder``, ready to write: a language model, or what training added to one.

    Raises:
        ModelError: no such model, or the one that it was added to is gone.
    """
    if pretrained.is_huggingface(folder):
        return Generator.from_folder(folder).eval()
    model, tuning = stored_generator(folder)
    tuning.merge(model)
    return model.eval()


def stored_generator(folder: Path) -> tuple[Generator, Tuning]:
    """A generator of which training stored what it added, with that standing beside its weights.

    Raises:
        ModelError: the model that it was added to is gone, or another one by now.
    """
    source = pretrained.backbone_of(folder)
    if (expected := pretrained.stored_config(folder).get("digest")) != (found := digest(source)):
        raise ModelError(
            f"{folder} was trained on top of another model than {source} is now ({found[:16]})",
            accepted=f"the model with the digest {str(expected)[:16]}",
            next_step="train it again",
        )
    model = Generator.from_folder(source)
    return model, apply_stored(model, folder)


def load_writer_tokenizer(folder: Path) -> Any:
    """The tokenizer of the language model in ``folder``, with its chat template; transformers' own class.

    Raises:
        ModelError: there is none, or it has no token that ends a text.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        said = str(error).splitlines()[0].rstrip(": ")
        raise ModelError(f"{folder} has no tokenizer: {said}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(f"the tokenizer of {folder} has no token that ends a text (eos_token)")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
