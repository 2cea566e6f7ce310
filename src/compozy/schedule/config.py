"""`schedule:` and `schedules:` of a workflow, as they are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from compozy.config.duration import DurationS
from compozy.config.settings import Section
from compozy.schedule.timetable import Cron, Every, Timetable, find_zone

OverlapPolicy = Literal["skip", "allow", "buffer_one", "cancel_other"]
CatchUp = Literal["none", "latest", "all"]
MAX_SCHEDULES = 100
_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
_SHORTEST_S = 1


def read_moment(value: Any) -> datetime:
    """Return a time with its offset from UTC.

    Raises:
        ValueError: it is not one.
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(f"expected a time with its offset, such as 2027-01-01T09:00:00Z, got {value!s:.80}")
    return moment.astimezone(UTC)


Moment = Annotated[
    datetime,
    BeforeValidator(read_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2027-01-01T09:00:00Z"]}),
]


class ScheduleConfig(Section):
    """Times at which the workflow runs."""

    id: str | None = Field(
        default=None,
        pattern=_ID_PATTERN,
        description="Name of the schedule, unique in the workflow; required in `schedules`.",
    )
    cron: str | None = Field(
        default=None,
        description="Cron expression with 5 fields, 6 fields with the seconds first, or @hourly, @daily, @weekly, "
        "@monthly, @yearly.",
    )
    every: DurationS | None = Field(default=None, description="Interval, in whole seconds; instead of `cron`.")
    timezone: str = Field(default="UTC", description="Time zone of `cron`, a name such as Europe/Berlin.")
    enabled: bool = Field(default=True, description="Whether the schedule starts runs.")
    start_at: Moment | None = Field(default=None, description="No run is scheduled before this time.")
    end_at: Moment | None = Field(default=None, description="No run is scheduled after this time.")
    jitter: DurationS = Field(
        default=0.0,
        description="Longest delay of a run; the delay of each run depends on the schedule and its time.",
    )
    overlap_policy: OverlapPolicy = Field(
        default="skip",
        description="Choice if the previous run has not ended: `skip` the new run, `allow` both, start it afterwards "
        "(`buffer_one`), or cancel the previous one (`cancel_other`).",
    )
    catch_up: CatchUp = Field(
        default="latest",
        description="Runs that were missed while no server was running: start `none`, the `latest` or `all` of them.",
    )
    catch_up_window: DurationS | None = Field(
        default=None, description="Runs that were missed longer ago than this are not started. Default: no limit."
    )
    pause_on_failure: bool = Field(default=False, description="Whether a failed run pauses the schedule.")
    input: dict[str, Any] | None = Field(
        default=None, description="Input of the runs; templates read `.trigger.scheduled_at`."
    )

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        find_zone(value)
        return value

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, value: str | None) -> str | None:
        return value if value is None else Cron(text=value).text

    @field_validator("every")
    @classmethod
    def _check_every(cls, value: float | None) -> float | None:
        if value is not None and (value < _SHORTEST_S or not value.is_integer()):
            raise ValueError(f"an interval has whole seconds, at least {_SHORTEST_S}, got {value:g}s")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> ScheduleConfig:
        if (self.cron is None) == (self.every is None):
            raise ValueError("a schedule has either `cron` or `every`")
        if self.every is not None and "timezone" in self.model_fields_set:
            raise ValueError("`timezone` does not go with `every`, which counts from `start_at` or midnight UTC")
        if self.start_at and self.end_at and self.end_at < self.start_at:
            raise ValueError("`end_at` is before `start_at`")
        if self.catch_up == "all" and self.overlap_policy != "allow":
            raise ValueError(
                f"`catch_up: all` needs `overlap_policy: allow`; with {self.overlap_policy!r} most of the missed runs "
                "would not be started"
            )
        return self

    @property
    def timetable(self) -> Timetable:
        """The times of its runs."""
        start_ms, end_ms = _ms(self.start_at), _ms(self.end_at)
        if self.every is not None:
            rule: Cron | Every = Every(interval_ms=int(self.every) * 1000, anchor_ms=start_ms or 0)
        else:
            rule = Cron(text=self.cron or "", timezone=self.timezone)
        return Timetable(rule=rule, start_ms=start_ms, end_ms=end_ms)

    def to_json(self) -> dict[str, Any]:
        """Return what the file says, in the form in which it is stored."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def digest(self) -> str:
        """A hash that changes whenever the file says something else."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def schedules_of(
    workflow_id: str, one: ScheduleConfig | None, more: Sequence[ScheduleConfig] | None
) -> Mapping[str, ScheduleConfig]:
    """Return the schedules of a workflow by their IDs: that of the workflow, or `workflow.id`."""
    return {
        workflow_id if schedule.id is None else f"{workflow_id}.{schedule.id}": schedule
        for schedule in (*((one,) if one is not None else ()), *(more or ()))
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
