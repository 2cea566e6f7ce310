"""Ollama, through its OpenAI-compatible interface."""

from __future__ import annotations

from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider

from compozy.model.openai_chat import CompatibleChatModel, new_client
from compozy.model.provider import BuiltModel, ModelSpec
from compozy.model.thoughts import NO_TAGS

# Settings that the package's own profile leaves open.
_PROFILE = OpenAIModelProfile(
    supports_json_object_output=False,
    openai_chat_supports_max_completion_tokens=False,
    thinking_tags=NO_TAGS,
    supports_document_input=False,
)


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the Ollama model that `spec` names."""
    client = new_client(spec)
    provider = OllamaProvider(openai_client=client)
    model = OllamaChatModel(spec.model_name, provider=provider, profile=_PROFILE, settings=spec.default_settings())
    return BuiltModel(model=model, close=client.close)


class OllamaChatModel(CompatibleChatModel, OllamaModel):
    """A model on Ollama, or on Ollama's cloud, which follows no JSON Schema."""
