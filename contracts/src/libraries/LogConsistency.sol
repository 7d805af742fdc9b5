// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Consistency proofs of RFC 9162, section 2.1.4.2, with SHA-256.
/// @dev The same proofs as registry/core/merkle.py; about 700 gas for each hash of the proof.
library LogConsistency {
    /// @notice Whether the tree (oldSize, oldRoot) is a prefix of the tree (newSize, newRoot).
    /// @dev False for every malformed proof. Sizes with 0 < oldSize < newSize only.
    function isConsistent(
        uint64 oldSize,
        uint64 newSize,
        bytes32 oldRoot,
        bytes32 newRoot,
        bytes32[] calldata proof
    ) internal pure returns (bool) {
        if (oldSize == 0 || oldSize >= newSize || proof.length == 0) return false;
        uint256 place;
        bytes32 older = oldRoot;
        // A complete old tree is itself the first node of the path, and is left out of the proof.
        if (oldSize & (oldSize - 1) != 0) older = proof[place++];
        bytes32 newer = older;
        uint256 number = oldSize - 1;
        uint256 last = newSize - 1;
        while (number & 1 == 1) {
            number >>= 1;
            last >>= 1;
        }
        for (; place < proof.length; ++place) {
            if (last == 0) return false;
            bytes32 beside = proof[place];
            if (number & 1 == 1 || number == last) {
                older = _node(beside, older);
                newer = _node(beside, newer);
                while (number & 1 == 0 && number != 0) {
                    number >>= 1;
                    last >>= 1;
                }
            } else {
                newer = _node(newer, beside);
            }
            number >>= 1;
            last >>= 1;
        }
        return last == 0 && older == oldRoot && newer == newRoot;
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }
}
