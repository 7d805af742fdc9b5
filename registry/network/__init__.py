"""Everything that a Hyperledger Besu QBFT network needs before its first block, as files in one folder.

    OUT/genesis.json           block 0: the validators, zero base fee, the funds
    OUT/static-nodes.json      who dials whom; there is no discovery
    OUT/network.json           what was chosen, for `write_allowlists` later
    OUT/validators/N/          config.toml, permissions_config.toml, keystore.json
    OUT/operator/keystore.json the first account that may send a transaction; it deploys the contracts
    OUT/secrets/               one password file per keystore, for the machine's own secret store
    OUT/compose.yaml, OUT/Dockerfile, OUT/start-validator

Besu took permissioning by contract out in 25.6, so who may connect and who may send is a list in a file on
each node, written here from the members of `Consortium`.
"""

from registry.network.allowlist import Participant, write_allowlists
from registry.network.plan import NetworkPlan, ValidatorNode, init_network

__all__ = ["NetworkPlan", "Participant", "ValidatorNode", "init_network", "write_allowlists"]
