"""The seeds of each round."""

from pydantic import BaseModel, ConfigDict, Field


class Seeds(BaseModel):
    """The seeds of a run. Round r (from 1) has the seeds `sample` + r and `model` + r.

    If `fixed` is true, all rounds have the seeds `sample` and `model`. All engines of a round share them, so that
    engines and fractions are paired within a round.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample: int = Field(default=0, ge=0)
    model: int = Field(default=0, ge=0)
    fixed: bool = False

    def of(self, number: int) -> tuple[int, int]:
        """Returns the seed of the sample and the seed of the model in this round."""
        return (self.sample, self.model) if self.fixed else (self.sample + number, self.model + number)

    def samples(self, rounds: int) -> tuple[int, ...]:
        """Returns the sample seeds of all `rounds`, and `sample`, because patterns with fixed seeds use it."""
        return tuple(sorted({self.sample, *(self.of(number)[0] for number in range(1, rounds + 1))}))

    def as_fixed(self) -> "Seeds":
        """Returns the same seeds, fixed for all rounds."""
        return self.model_copy(update={"fixed": True})
