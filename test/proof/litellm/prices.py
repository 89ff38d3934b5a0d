#!/usr/bin/env python3
"""Prices random calls of every model with LiteLLM's own functions, by the price map that the package itself carries, and
prints them with the map's path as JSON: {"map": path, "calls": [{"model", "quantities", "tier", "usd"}]}. The same seed
gives the same calls. Run it with a Python that has litellm; nothing is asked of the network.

A call is input and output tokens and one class more, or all of the model's classes together, so that a difference shows
which class it comes from. Prompts that have to be long have up to 600,000 tokens.

What LiteLLM cannot price by an entry alone, or prices by a guess, is left out:

- cached audio that is written (no field of LiteLLM's usage says so), characters that are made, and requests
  (`output_cost_per_character`, `input_cost_per_request`: none of its functions for one call reads them)
- pixels of made images by `output_cost_per_pixel`, which it does not read
- classes without a batch price in a batch: LiteLLM takes half of another price, the file has none
- prices by the time of day (`off_peak_pricing`): calls are made at the standard hours
"""

import json
import os
import random
import sys
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm.cost_calculator import batch_cost_calculator, default_image_cost_calculator, ocr_cost
from litellm.litellm_core_utils.llm_cost_calc.tool_call_cost_tracking import StandardBuiltInToolCostTracking as Tools
from litellm.litellm_core_utils.llm_cost_calc.utils import flat_image_cost, generic_cost_per_token
from litellm.llms.base_llm.ocr.transformation import OCRResponse, OCRUsageInfo
from litellm.llms.openai import cost_calculation as openai_costs
from litellm.llms.perplexity import cost_calculator as perplexity_costs
from litellm.types.utils import ImageObject, ImageResponse, Usage

MAP = Path(litellm.__file__).parent / "model_prices_and_context_window_backup.json"
SEED = int(os.environ.get("PRICES_SEED", "1"))
INPUTS = ["cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "cached_audio_input"]
INPUTS += ["image_input", "video_input"]
OUTPUTS = ["reasoning", "audio_output", "image_output", "video_output"]
# Classes of media are used where the model has a price for them; the others fall back to those of text.
MEDIA = {
    "audio_input": "input_cost_per_audio_token",
    "cached_audio_input": "cache_read_input_audio_token_cost",
    "image_input": "input_cost_per_image_token",
    "video_input": "input_cost_per_video_token",
    "audio_output": "output_cost_per_audio_token",
    "image_output": "output_cost_per_image_token",
    "video_output": "output_cost_per_video_token",
}
BATCH = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "audio_input": "input_cost_per_audio_token",
    "image_input": "input_cost_per_image_token",
    "video_input": "input_cost_per_video_token",
    "image_output": "output_cost_per_image_token",
}
# What has a price for one of its own in the usage of a prompt: class, detail of the usage, price.
COUNTED = [
    ("input_characters", "character_count", "input_cost_per_character"),
    ("audio_input_seconds", "audio_length_seconds", "input_cost_per_audio_per_second"),
    ("video_input_seconds", "video_length_seconds", "input_cost_per_video_per_second"),
    ("input_images", "image_count", "input_cost_per_image"),
    ("queries", "query_count", "input_cost_per_query"),
]
SECONDS = ["input_cost_per_second", "output_cost_per_second", "output_cost_per_video_per_second"]


def usage_of(quantities: dict, details: dict | None = None) -> Usage:
    """Classes are exclusive in `quantities`; here, totals include their parts."""
    of = lambda *names: sum(quantities.get(name, 0) for name in names)
    prompt, completion = of("input", *INPUTS), of("output", *OUTPUTS)
    written = {"ephemeral_5m_input_tokens": of("cache_write_5m"), "ephemeral_1h_input_tokens": of("cache_write_1h")}
    inputs = {
        "cached_tokens": of("cached_input", "cached_audio_input"),
        "cached_tokens_details": {"audio_tokens": of("cached_audio_input")},
        "cache_creation_tokens": of("cache_write_5m", "cache_write_1h"),
        "audio_tokens": of("audio_input", "cached_audio_input"),
        "image_tokens": of("image_input"),
        "video_tokens": of("video_input"),
        **({"cache_creation_token_details": written} if of("cache_write_1h") else {}),
        **(details or {}),
    }
    outputs = {name.removesuffix("_output") + "_tokens": quantities.get(name, 0) for name in OUTPUTS}
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion,
        prompt_tokens_details=inputs, completion_tokens_details=outputs,
    )


class Model:
    def __init__(self, name: str, entry: dict, calls: list):
        self.name = name
        self.entry = {field: value for field, value in entry.items() if field != "off_peak_pricing"}
        self.provider = entry.get("litellm_provider") or ""
        self.calls = calls
        # Of the model's own, so that a model more or less in the map changes no other's calls.
        self.random = random.Random(f"{SEED} {name}")

    def has(self, field: str) -> bool:
        return self.entry.get(field) is not None

    def add(self, quantities: dict, usd: float, tier: str = "standard") -> None:
        self.calls.append({"model": self.name, "quantities": quantities, "tier": tier, "usd": usd})

    def count(self, most: int) -> int:
        return self.random.randint(1, most)

    def price_tokens(self) -> None:
        is_text = any(self.has(f"{side}_cost_per_token") for side in ("input", "output")) or self.has("tiered_pricing")
        if not is_text and not any(map(self.has, MEDIA.values())):
            return
        gives_text = self.entry.get("mode") not in ("embedding", "rerank", "moderation")
        extra = ["cached_input", "cache_write_5m", "cache_write_1h", "reasoning"] if gives_text and is_text else []
        extra += [name for name, field in MEDIA.items() if self.has(field)]
        base = ["input", *(["output"] if gives_text else [])] if is_text else []
        classes = [base, *([*base, name] for name in extra), [*base, *extra]]
        for names in classes if base else classes[1:]:
            self.price_standard(names, "standard", self.count(20_000))
        tiers = [tier for tier in ("flex", "priority") if any(field.endswith(tier) for field in self.entry)]
        thresholds = self.thresholds()
        for names in classes if tiers else []:
            for tier in tiers:
                self.price_standard(names, tier, self.count(20_000))
        for threshold in thresholds:
            # At the threshold, just above it, and far above.
            for prompt in (threshold, threshold + 1):
                self.price_standard(base, "standard", prompt)
            for tier in ["standard", *tiers]:
                for names in classes:
                    self.price_standard(names, tier, self.random.randint(threshold + 2, 600_000))
        self.price_batch(base, extra, thresholds)

    def thresholds(self) -> list[int]:
        """Where the prices of the model change."""
        found = {field.split("_above_")[-1].split("k_tokens")[0] for field in self.entry if "k_tokens" in field}
        starts = {int(number) * 1000 for number in found}
        ranges = self.entry.get("tiered_pricing") or []
        starts |= {int(each["range"][0]) for each in ranges if "range" in each}
        return sorted(start for start in starts if 0 < start < 600_000)

    def split(self, names: list, prompt: int) -> dict:
        """A prompt of exactly that size, in the classes of input among these, and as many of each class of output."""
        inputs = [name for name in names if name == "input" or name in INPUTS]
        if len(inputs) > prompt:
            inputs = inputs[:prompt]
        cuts = sorted(self.random.sample(range(1, prompt), len(inputs) - 1)) if inputs else []
        sizes = [end - start for start, end in zip([0, *cuts], [*cuts, prompt])]
        outputs = [name for name in names if name == "output" or name in OUTPUTS]
        return dict(zip(inputs, sizes)) | {name: self.count(8000) for name in outputs}

    def price_standard(self, names: list, tier: str, prompt: int) -> None:
        if not names:
            return
        quantities = self.split(names, prompt)
        costs = generic_cost_per_token(
            self.name, usage_of(quantities), self.provider, tier if tier != "standard" else None, model_info=self.entry
        )
        self.add(quantities, sum(costs), tier)

    def price_batch(self, base: list, extra: list, thresholds: list) -> None:
        names = [name for name in [*base, *extra] if self.has(f"{BATCH.get(name)}_batches")]
        if "input" not in names or ("output" in base and "output" not in names):
            return
        base, extra = [name for name in names if name in base], [name for name in names if name in extra]
        for names in [base, *([*base, name] for name in extra), [*base, *extra]]:
            for least in [1, *thresholds]:
                quantities = self.split(names, self.random.randint(least + 1, 600_000 if least > 1 else 20_000))
                costs = batch_cost_calculator(usage_of(quantities), self.name, "openai", self.entry)
                self.add(quantities, sum(costs), "batch")

    def price_others(self) -> None:
        for name, detail, field in COUNTED:
            if not self.has(field) or (name == "input_images" and self.entry.get("mode") == "image_generation"):
                continue
            number = self.count(50)
            usage = usage_of({}, {detail: number})
            self.add({name: number}, sum(generic_cost_per_token(self.name, usage, self.provider, model_info=self.entry)))
        self.price_images()
        self.price_seconds()
        self.price_tools()

    def price_images(self) -> None:
        number = self.count(10)
        if self.has("output_cost_per_image"):
            images = ImageResponse(data=[ImageObject(url="") for _ in range(number)])
            self.add({"images": number}, flat_image_cost(self.entry, images))
        elif self.entry.get("mode") == "image_generation" and self.has("input_cost_per_image"):
            self.add({"images": number}, default_image_cost_calculator("no name", n=number, model_info=self.entry))
        if self.entry.get("mode") == "image_generation" and self.has("input_cost_per_pixel"):
            cost = default_image_cost_calculator("no name", n=number, size="512x512", model_info={
                "input_cost_per_pixel": self.entry["input_cost_per_pixel"]
            })
            self.add({"pixels": 512 * 512 * number}, cost)

    def price_seconds(self) -> None:
        number = self.count(600)
        if self.entry.get("mode") == "video_generation":
            for name, size in [("seconds", None), ("seconds_1080p", "1080p")]:
                if self.has("output_cost_per_second_1080p" if size else "output_cost_per_second") or (
                    size is None and self.has("output_cost_per_video_per_second")
                ):
                    cost = openai_costs.video_generation_cost(self.name, number, self.provider, self.entry, size)
                    self.add({name: number}, cost)
        elif self.has("input_cost_per_second") or self.has("output_cost_per_second"):
            openai_costs.get_model_info = lambda **_: self.entry
            self.add({"seconds": number}, sum(openai_costs.cost_per_second(self.name, self.provider, number)))

    def price_tools(self) -> None:
        for size in ("low", "medium", "high"):
            if f"search_context_size_{size}" in (self.entry.get("search_context_cost_per_query") or {}):
                self.add({f"search_{size}": 1}, Tools.get_cost_for_web_search({"search_context_size": size}, self.entry))
        number = self.count(20)
        if self.has("code_interpreter_cost_per_session"):
            cost = Tools.get_cost_for_code_interpreter(number, self.provider, self.entry)
            self.add({"code_interpreter_sessions": number}, cost)
        for name, field, detail in [
            ("pages", "ocr_cost_per_page", "pages_processed"),
            ("annotated_pages", "annotation_cost_per_page", "pages_processed_annotation"),
        ]:
            if self.has(field):
                used = OCRUsageInfo(**{"pages_processed": 0, detail: number})
                answer = OCRResponse(pages=[], model=self.name, usage_info=used)
                self.add({name: number}, sum(ocr_cost("no name", None, answer, self.entry)))
        if self.has("citation_cost_per_token"):
            perplexity_costs.get_model_info = lambda **_: self.entry
            usage = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0, citation_tokens=number)
            self.add({"citation": number}, sum(perplexity_costs.cost_per_token(self.name, usage)))


def main() -> None:
    # It would print hints to where the answer goes.
    litellm.suppress_debug_info = True
    calls: list = []
    for name, entry in json.loads(MAP.read_text()).items():
        if name != "sample_spec" and isinstance(entry, dict):
            model = Model(name, entry, calls)
            model.price_tokens()
            model.price_others()
    json.dump({"map": str(MAP), "calls": calls}, sys.stdout)


if __name__ == "__main__":
    main()
