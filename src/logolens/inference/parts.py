"""What a bundle's files hold beside the network, each loaded when it is first needed."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from logolens.bundle.format import LOCALISER, Bundle, Closer, read_head
from logolens.models.box_regressor import Localiser
from logolens.models.cascade import OUTPUTS
from logolens.models.experts import LateExpert, expert_of, late_experts
from logolens.models.head import Head
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
    def late(self) -> tuple[tuple[LateExpert, Any], ...]:
        """The late experts that can be asked here, each with what it learned, in the order in which they are asked."""
        bundle, recorded = self._bundle, self._closer.late
        found = [
            (expert, expert.load(recorded[expert.name], bundle.path, bundle.labels))
            for expert in late_experts()
            if expert.name in recorded
        ]
        return tuple((expert, knowledge) for expert, knowledge in found if knowledge is not None)

    @cached_property
    def knowledge(self) -> dict[str, Any]:
        """What the experts learned, by their names."""
        names = self._closer.experts
        return {name: expert_of(name).load(self._bundle.path, self._bundle.labels) for name in names}
