"""The price of a cluster, as its profile states it."""

import datetime
import re
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sparkscale.contract import redaction


class Price(BaseModel):
    """The cost of one hour on all machines of a profile together. `date` is the day on which the price was valid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_hour: float = Field(gt=0, allow_inf_nan=False, strict=True)
    currency: str
    """The code of the currency in ISO 4217, such as "EUR"."""
    source: str
    """The origin of the price, such as a URL or "our contract"."""
    date: datetime.date

    @field_validator("currency")
    @classmethod
    def _currency_is_a_code(cls, value: str) -> str:
        if not re.fullmatch("[A-Z]{3}", value):
            raise ValueError(f"'{value}' is no currency of ISO 4217: write three capital letters like 'EUR'")
        return value

    @field_validator("source")
    @classmethod
    def _source_is_stated(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("say where the price comes from, such as a URL or 'our contract'")
        return value

    @field_validator("date", mode="before")
    @classmethod
    def _date_is_a_day(cls, value: Any) -> Any:
        with suppress(ValueError):
            if type(value) is datetime.date or (isinstance(value, str) and datetime.date.fromisoformat(value)):
                return value
        raise ValueError("write the day of the price like 2026-11-28")

    @property
    def text(self) -> str:
        """The price as text, such as "3.2 EUR per hour (our contract, 2026-11-28)"."""
        return f"{self.per_hour:,g} {self.currency} per hour ({redaction.text(self.source)}, {self.date})"
