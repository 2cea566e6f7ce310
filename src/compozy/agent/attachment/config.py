"""`attachments:` of a task, an agent or an action."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from compozy.config.settings import Section

SOURCE_KEYS = ("path", "paths", "url", "urls")
MediaKind = Literal["image", "audio", "video", "pdf", "text"]


class AttachmentConfig(Section):
    """An item of `attachments:`, files or URLs whose content is sent with the prompt."""

    type: Literal["image", "audio", "video", "pdf", "text", "file", "url"] = Field(
        default="file", description="Expected kind of content. `file` and `url` accept every kind."
    )
    path: str | None = Field(
        default=None, min_length=1, description="File, relative to the project folder; a template."
    )
    paths: str | tuple[str, ...] | None = Field(
        default=None, description="Several files: a list of templates, or a template that gives a list."
    )
    url: str | None = Field(default=None, min_length=1, description="URL to download; a template.")
    urls: str | tuple[str, ...] | None = Field(
        default=None, description="Several URLs: a list of templates, or a template that gives a list."
    )
    name: str | None = Field(
        default=None, min_length=1, description="Name that the model reads. Default: that of the file. A template."
    )
    mime: str | None = Field(
        default=None,
        pattern=r"^[a-z]+/[a-z0-9.+-]+$",
        description="Media type, such as `image/png`. Default: found from the content.",
    )
    max_pages: int | None = Field(
        default=None, ge=1, description="Number of pages of a PDF to send, as text. Default: the whole PDF."
    )

    @model_validator(mode="after")
    def _check_source(self) -> AttachmentConfig:
        """Refuse an attachment with no source, or with several.

        Raises:
            ValueError: names the keys.
        """
        if len(self.sources) != 1:
            raise ValueError("expected one of the keys `path`, `paths`, `url` and `urls`")
        return self

    @property
    def sources(self) -> list[str]:
        """The keys of `SOURCE_KEYS` that are written."""
        return [key for key in SOURCE_KEYS if getattr(self, key) is not None]

    @property
    def kind(self) -> MediaKind | None:
        """The kind that the content must have; None for every kind."""
        return None if self.type == "file" or self.type == "url" else self.type
