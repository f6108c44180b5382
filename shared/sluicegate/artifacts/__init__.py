"""Artifacts: files of a job, kept under its own folder by the hash of their content (Q-10, 70-15).

ArtifactStore     where content is; what any kind of store has to do     store.py
ArtifactFolder    a folder as such a store (`file:`)                     folder.py
keep, Incoming    content into the store, then its entry in the index    keeping.py
checked_name ...  what may be kept                                       checks.py

What a store holds is whole and safe on disk, or not there. Each upload is kept by itself, even when the same
content is there already: then replaced content belongs to nobody else, and can go at once.
"""

from __future__ import annotations

from sluicegate.artifacts.checks import checked_content_type, checked_digest, checked_name, limit_of
from sluicegate.artifacts.folder import ArtifactFolder, chunks_of
from sluicegate.artifacts.keeping import Incoming, keep
from sluicegate.artifacts.store import ArtifactStore, Stored, Upload
from sluicegate.settings import Settings

__all__ = [
    "ArtifactFolder",
    "ArtifactStore",
    "Incoming",
    "Stored",
    "Upload",
    "checked_content_type",
    "checked_digest",
    "checked_name",
    "chunks_of",
    "keep",
    "limit_of",
    "open_store",
]


def open_store(settings: Settings) -> ArtifactStore:
    """The store that SLUICEGATE_ARTIFACTS_URL names. Raises ConfigurationError."""
    return ArtifactFolder(settings.artifacts_dir)
