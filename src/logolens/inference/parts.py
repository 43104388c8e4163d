"""What a bundle's files hold beside the network, each loaded when it is first needed."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from logolens.bundle.format import LOCALISER, Bundle, Closer, read_head
from logolens.inference.weighing import PhotoReader, reader_of
from logolens.models.box_regressor import Localiser
from logolens.models.cascade import OUTPUTS
from logolens.models.experts import expert_of
from logolens.models.head import Head
from logolens.models.pairwise import Pair, PairwiseExperts
from logolens.models.session import Session

__all__ = ["Parts"]


class Parts:
    """What a bundle's files hold beside the network, each loaded when it is first needed."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._maps: Session | None = None

    @property
    def _closer(self) -> Closer:
        assert self._bundle.closer is not None
        return self._bundle.closer

    def embedding_session(self, session: Session) -> Session:
        """A session that gives the network's maps; the one there is where it does."""
        if set(OUTPUTS) <= set(session.output_names):
            return session
        if self._maps is None:
            bundle = self._bundle
            self._maps = Session(
                bundle.model,
                bundle.preprocessing,
                threads=session.threads,
                limits=session.limits,
                outputs=OUTPUTS,
                device=session.device.name,
            )
        return self._maps

    @cached_property
    def head(self) -> Head:
        return read_head(self._closer.head, self._bundle.path)

    @cached_property
    def localiser(self) -> Localiser | None:
        data = self._closer.localiser
        return Localiser.load(data, self._bundle.path / LOCALISER) if data is not None else None

    @cached_property
    def pairs(self) -> PairwiseExperts | None:
        if not self._closer.pairs:
            return None
        pairs = []
        for labels, files, data in self._closer.pairs:
            weights, references = (self._bundle.path / name for name in files)
            pairs.append(Pair.load(labels, data, weights, references))
        return PairwiseExperts(tuple(pairs), self._bundle.labels)

    @cached_property
    def words(self) -> PhotoReader | None:
        return reader_of(self._bundle)

    @cached_property
    def knowledge(self) -> dict[str, Any]:
        """What the experts learned, by their names."""
        names = self._closer.experts
        return {name: expert_of(name).load(self._bundle.path, self._bundle.labels) for name in names}
