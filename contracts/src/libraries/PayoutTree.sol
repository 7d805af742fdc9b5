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
        bytes32 node = _leaf(taskId, round, leaf);
        bytes32[] calldata proof = leaf.proof;
        uint256 length = proof.length;
        for (uint256 i; i < length; ++i) {
            bytes32 sibling;
            // In bounds by the loop; a proof costs no memory, however deep.
            assembly ("memory-safe") {
                sibling := calldataload(add(proof.offset, shl(5, i)))
                switch lt(node, sibling)
                case 1 {
                    mstore(0, node)
                    mstore(32, sibling)
                }
                default {
                    mstore(0, sibling)
                    mstore(32, node)
                }
                node := keccak256(0, 64)
            }
        }
        return root != 0 && node == root;
    }

    function _leaf(uint64 taskId, uint32 round, IRewardPool.Leaf calldata leaf) private view returns (bytes32) {
        bytes32 detail = keccak256(leaf.detail);
        bytes memory text = abi.encode(block.chainid, address(this), taskId, round, leaf.account, leaf.amount, detail);
        return keccak256(bytes.concat(keccak256(text)));
    }
}
