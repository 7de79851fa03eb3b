"""A prepared model: trained once, content-hashed, read by every engine from the same files."""

from typing import Any

from sparkscale.contract.dataset import Frozen


class ModelFile(Frozen):
    """A file of a model, relative to its root, as the manifest vouches for it."""

    path: str
    sha256: str
    bytes: int


class PreparedModel(Frozen):
    """A model that lies ready at `root`, a local path or a URI, and its reference predictions of a case's rows."""

    name: str
    model_id: str
    content_hash: str
    root: str
    files: tuple[ModelFile, ...]
    definition: dict[str, Any]
    reference: str = ""
    """A folder of Parquet files: row ids and scores; empty before they are made."""
    reference_hash: str = ""

    def file(self, path: str) -> ModelFile:
        """Raises KeyError for one that the manifest does not name."""
        return {found.path: found for found in self.files}[path]

    @property
    def bytes(self) -> int:
        return sum(found.bytes for found in self.files)

    def description(self) -> dict[str, Any]:
        """What is stored beside the records: everything but where it lies."""
        return self.model_dump(mode="json", exclude={"root", "reference"})
