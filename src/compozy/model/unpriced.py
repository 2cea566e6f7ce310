"""Base class of the models that Compozy implements, for which Pydantic AI has no prices to look up."""

from __future__ import annotations

from pydantic_ai.models import Model
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings


class UnpricedModel(Model):
    """A model that does not load the price list.

    Pydantic AI loads its list of prices and context windows with the first model: 26 MB of memory and 0.16 s of
    processor time, which a device with local or scripted models would spend for nothing.

    Args:
        profile: which features the model supports. Its context window is unknown unless set here.
        settings: the parameters of requests that set none.
    """

    def __init__(self, *, profile: ModelProfile, settings: ModelSettings | None = None) -> None:
        # Not `super().__init__()`, which loads the list. A profile that names a context window, even None, is not
        # looked up in it either.
        self._settings = settings
        self._profile = {"context_window": None, **profile}
