"""A prepared model. It is trained once and content-hashed, and every engine reads the same files."""

from typing import Any

from sparkscale.contract.dataset import Frozen


class ModelFile(Frozen):
    """A file of a model as its manifest lists it. `path` is relative to the model's root."""

    path: str
    sha256: str
    bytes: int


class PreparedModel(Frozen):
    """A model that is ready to read at `root` (a local path or a URI).

    It may have reference predictions: the right predictions for the rows of a case.
    """

    name: str
    model_id: str
    content_hash: str
    root: str
    files: tuple[ModelFile, ...]
    definition: dict[str, Any]
    reference: str = ""
    """The folder of the reference predictions: Parquet files with row ids and scores. Empty before they exist."""
    reference_hash: str = ""

    def file(self, path: str) -> ModelFile:
        """Returns the file with this path. Raises KeyError if the manifest does not list it."""
        return {file.path: file for file in self.files}[path]

    @property
    def bytes(self) -> int:
        """The total size of the files."""
        return sum(file.bytes for file in self.files)

    def description(self) -> dict[str, Any]:
        """Returns the description that is stored with the records: everything except where the files are."""
        return self.model_dump(mode="json", exclude={"root", "reference"})
