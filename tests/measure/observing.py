"""An observer for tests that read records, not lines."""

from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.measure.progress import Piece


class Silent:
    """Says nothing."""

    def planned(self, pieces: list[Piece]) -> None: ...

    def doing(self, text: str) -> None: ...

    def executing(self, case: Case, label: str) -> None: ...

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None: ...

    def close(self) -> None: ...
