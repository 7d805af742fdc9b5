"""Council proposals as anyone may inspect them: what would be called, by whom, with how many approvals."""

from registry.chain.encoding import describe_call
from registry.chain.gateway import Contracts
from registry.errors import RegistryError
from registry.wire_members import ProposalBody


class Council:
    """Reads the Consortium's proposals."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts

    def proposals(self, *, before: int | None, limit: int) -> list[ProposalBody]:
        """Proposals older than `before`, newest first."""
        newest: int = self._contracts.read("Consortium", "proposalCount")
        if before is not None:
            newest = min(newest, before - 1)
        return [self.proposal(number) for number in range(newest, max(0, newest - limit), -1)]

    def proposal(self, number: int) -> ProposalBody:
        """One proposal, decoded where its target is one of our contracts."""
        target, proposer, executed, payload, reason = self._contracts.read("Consortium", "proposal", number)
        return ProposalBody(
            id=number,
            target=target,
            proposer=proposer,
            executed=executed,
            call=self._call(target, payload),
            data="0x" + payload.hex(),
            reason=reason,
            approvals=self._contracts.read("Consortium", "approvals", number),
            threshold=self._contracts.read("Consortium", "threshold"),
        )

    def _call(self, target: str, payload: bytes) -> str | None:
        for name in self._contracts.deployment.names:
            if self._contracts.address(name) == target:
                try:
                    return f"{name}.{describe_call(name, payload)}"
                except RegistryError:
                    return None
        return None
