// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRewardPool} from "../interfaces/IRewardPool.sol";

/// @title Leaves and proofs of a round's payouts; incentives/payouts.py builds the same tree.
library PayoutTree {
    /// @notice Whether the leaf lies under this root. The leaf is hashed twice, so no node can pass for a leaf.
    function isUnder(bytes32 root, uint64 taskId, uint32 round, IRewardPool.Leaf calldata leaf)
        internal
        view
        returns (bool)
    {
        bytes32 node = keccak256(
            bytes.concat(
                keccak256(
                    abi.encode(
                        block.chainid, address(this), taskId, round, leaf.account, leaf.amount, keccak256(leaf.detail)
                    )
                )
            )
        );
        bytes32[] calldata proof = leaf.proof;
        for (uint256 i; i < proof.length; ++i) {
            node = _pair(node, proof[i]);
        }
        return root != 0 && node == root;
    }

    function _pair(bytes32 one, bytes32 two) private pure returns (bytes32 node) {
        if (two < one) (one, two) = (two, one);
        // Scratch space: a proof costs no memory, however deep.
        assembly ("memory-safe") {
            mstore(0, one)
            mstore(32, two)
            node := keccak256(0, 64)
        }
    }
}
